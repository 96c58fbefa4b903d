// SPDX-License-Identifier: Apache-2.0
// The threads of a CUDA block, one after the other: each runs until it waits for others or ends.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shadow.h"

namespace emulator {

struct Size {
  unsigned x, y, z;
};

struct Place {
  Size thread, block, threads, blocks;  // threadIdx, blockIdx, blockDim, gridDim
};

enum class Order : int { forward, reversed, shuffled };

// In which order blocks and threads run. Shuffled threads also take turns at atomic accesses.
struct Schedule {
  Order order = Order::forward;
  unsigned seed = 0;
  long accesses = 100'000'000;  // of a launch; one that needs more is taken not to end
};

extern Schedule schedule;

// Runs a kernel on all threads of all blocks. Returns false if it had to be given up.
bool run_grid(Size blocks, Size threads, size_t dynamic_shared, void (*kernel)(void*), void* arguments);

// All of these are called by the thread that runs; `line` is that of the call.

const Place& place();

// __syncthreads
void wait_for_block(int line);

// What the lanes of `mask` hand to each other, once all have come: the value of lane `from`.
uint64_t exchange(uint32_t mask, uint64_t value, int from, int line);

// The lanes of `mask` whose value is not zero.
uint32_t ballot(uint32_t mask, bool value, int line);

// An access by compiled code or an atomic operation.
void access(const void* address, size_t bytes, Access access, bool atomic, const void* site);

}  // namespace emulator
