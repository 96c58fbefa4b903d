// SPDX-License-Identifier: Apache-2.0
// What every CPU kernel shares.
#pragma once

#include <cstdint>
#include <exception>

namespace dssm {

// Runs body(i) for i in [0, count). Results never depend on the number of threads: an i is worked on by one thread.
// The first exception of a body is thrown again after the loop.
template <typename Body>
void parallel_for(int64_t count, [[maybe_unused]] int threads, Body body) {
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1 && count > 1)
  for (int64_t i = 0; i < count; ++i) {
    try {
      body(i);
    } catch (...) {
#pragma omp critical
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace dssm
