// SPDX-License-Identifier: Apache-2.0
// What every CPU kernel shares.
#pragma once

#include <cstdint>
#include <exception>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace dssm {

// Runs body(i, workspace) for i in [0, count), with a Workspace per thread: buffers that live from one i to the next.
// Results never depend on the number of threads: an i is worked on by one thread. The first exception of a body is
// thrown again after the loop.
template <typename Workspace, typename Body>
void parallel_for_with(int64_t count, [[maybe_unused]] int threads, Body body) {
  std::exception_ptr failure;
#pragma omp parallel num_threads(threads) if (threads > 1 && count > 1)
  {
    Workspace workspace;
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < count; ++i) {
      try {
        body(i, workspace);
      } catch (...) {
#pragma omp critical
        if (!failure) failure = std::current_exception();
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
}

// The same for bodies that need no buffers.
template <typename Body>
void parallel_for(int64_t count, int threads, Body body) {
  struct None {};
  parallel_for_with<None>(count, threads, [&](int64_t i, None&) { body(i); });
}

// Asks for large pages behind memory that was just allocated and that nobody has written to: the first touch of every
// small page costs more than filling it. Only a request; nothing else changes.
inline void prefer_large_pages([[maybe_unused]] void* data, [[maybe_unused]] int64_t bytes) {
#if defined(MADV_HUGEPAGE)
  constexpr int64_t kLarge = int64_t{2} << 20;
  const int64_t address = reinterpret_cast<int64_t>(data);
  const int64_t first = (address + kLarge - 1) / kLarge * kLarge, last = (address + bytes) / kLarge * kLarge;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace dssm
