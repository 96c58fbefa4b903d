// SPDX-License-Identifier: Apache-2.0
// Every access of a kernel to memory is checked: is it inside a tensor or the block's shared memory, does it read what
// the block has written, and is it ordered after the other threads' accesses that it conflicts with?
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace emulator {

// When an access happened, as far as barriers tell.
struct Moment {
  int32_t block = -1;
  int32_t thread = -1;
  int32_t barriers = 0;  // of the block, before it
};

enum class Access { read, write, update };  // an update reads and writes at once

// Memory that kernels may touch; neighbouring elements of `element` bytes never conflict. It stays so until
// forget_regions().
void add_region(const std::string& name, const void* data, size_t bytes, size_t element);
void forget_regions();

constexpr size_t kMostShared = 64 << 10;  // bytes of dynamic shared memory, as on compute capability 7.5, the least

// A launch begins: nothing has been written, and blocks have that much dynamic shared memory.
void start_checking(size_t dynamic_shared);

// Checks an access of the thread that runs, and remembers it. Returns whether the address is one that it may touch.
bool check_access(const void* address, size_t bytes, Access access, bool atomic, const Moment& now, const void* site);

}  // namespace emulator
