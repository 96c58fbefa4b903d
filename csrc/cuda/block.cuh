// SPDX-License-Identifier: Apache-2.0
// The threads of a block and what they do together. Blocks have one axis and whole warps.
#pragma once

#include <cuda_runtime.h>

namespace dssm {

constexpr int kWarp = 32;
constexpr int kMaxWarps = 32;
constexpr uint32_t kAllLanes = 0xFFFFFFFF;

__device__ inline int thread() { return static_cast<int>(threadIdx.x); }
__device__ inline int threads() { return static_cast<int>(blockDim.x); }
__device__ inline int lane() { return thread() % kWarp; }
__device__ inline int warp() { return thread() / kWarp; }
__device__ inline int warps() { return threads() / kWarp; }

// Calls body(i) for i in [0, count), spread over the threads; neighbours get neighbours. Not unrolled: bodies are long.
template <typename Body>
__device__ void for_each(int count, Body body) {
#pragma unroll 1
  for (int i = thread(); i < count; i += threads()) body(i);
}

// The largest value of all threads; every thread must call it.
template <typename Value>
__device__ Value block_max(Value value) {
  __shared__ Value slots[kMaxWarps];
  for (int step = kWarp / 2; step > 0; step /= 2) value = max(value, __shfl_xor_sync(kAllLanes, value, step));
  if (lane() == 0) slots[warp()] = value;
  __syncthreads();
  for (int i = 0; i < warps(); ++i) value = max(value, slots[i]);
  __syncthreads();  // the slots may be used again
  return value;
}

}  // namespace dssm
