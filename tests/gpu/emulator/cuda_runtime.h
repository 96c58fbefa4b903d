// SPDX-License-Identifier: Apache-2.0
// Stands in for NVIDIA's header of this name when g++ compiles a .cu: as much of CUDA C++ as the kernels use. Dynamic
// shared memory must be called dynamic_shared.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "block.h"
#include "cuda_host.h"
#include "vectors.h"

#define __global__
#define __device__
#define __host__
#define __shared__ thread_local
#define __launch_bounds__(...)

// Functions that do not check themselves; each call passes its line.
#define UNCHECKED __attribute__((no_sanitize("thread"), noinline))
#define LINE int line = __builtin_LINE()

using std::max;
using std::min;

namespace emulator {

// A built-in variable: three numbers that depend on who asks.
template <Size Place::* kSize>
struct Variable {
  struct X {
    UNCHECKED operator unsigned() const { return (place().*kSize).x; }
  } x;
  struct Y {
    UNCHECKED operator unsigned() const { return (place().*kSize).y; }
  } y;
  struct Z {
    UNCHECKED operator unsigned() const { return (place().*kSize).z; }
  } z;
};

template <typename Value>
UNCHECKED Value exchange_value(uint32_t mask, Value value, int from, int line) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(Value));
  bits = exchange(mask, bits, from, line);
  std::memcpy(&value, &bits, sizeof(Value));
  return value;
}

}  // namespace emulator

inline constexpr emulator::Variable<&emulator::Place::thread> threadIdx{};
inline constexpr emulator::Variable<&emulator::Place::block> blockIdx{};
inline constexpr emulator::Variable<&emulator::Place::threads> blockDim{};
inline constexpr emulator::Variable<&emulator::Place::blocks> gridDim{};

inline void __syncthreads(LINE) { emulator::wait_for_block(line); }
inline uint32_t __ballot_sync(uint32_t mask, bool value, LINE) { return emulator::ballot(mask, value, line); }

template <typename Value>
Value __shfl_xor_sync(uint32_t mask, Value value, int lanes, LINE) {
  return emulator::exchange_value(mask, value, static_cast<int>(threadIdx.x % 32) ^ lanes, line);
}

#define UPDATE(address) \
  emulator::access(address, sizeof(*address), emulator::Access::update, true, __builtin_return_address(0))

template <typename Value>
UNCHECKED Value atomicAdd(Value* address, Value value) {
  UPDATE(address);
  const Value before = *address;
  *address = static_cast<Value>(before + value);
  return before;
}

template <typename Value>
UNCHECKED Value atomicCAS(Value* address, Value expected, Value value) {
  UPDATE(address);
  const Value before = *address;
  if (before == expected) *address = value;
  return before;
}

inline int __clz(int value) { return value ? __builtin_clz(static_cast<unsigned>(value)) : 32; }
inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __ffs(int value) { return __builtin_ffs(value); }

inline void sincospif(float x, float* sine, float* cosine) {
  constexpr double kPi = 3.14159265358979323846;
  *sine = static_cast<float>(std::sin(kPi * static_cast<double>(x)));
  *cosine = static_cast<float>(std::cos(kPi * static_cast<double>(x)));
}

#undef UPDATE
#undef LINE
#undef UNCHECKED
