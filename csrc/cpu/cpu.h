// SPDX-License-Identifier: Apache-2.0
// What every CPU kernel shares.
#pragma once

#include <cstdint>
#include <exception>

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

}  // namespace dssm
