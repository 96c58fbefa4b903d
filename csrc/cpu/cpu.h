// SPDX-License-Identifier: Apache-2.0
// What every CPU kernel shares: pointers, sizes and strides in elements, and a thread count. No torch in here.
#pragma once

#include <cstdint>

namespace dssm {

// Runs body(i) for i in [0, count). Results never depend on the number of threads: an i is worked on by one thread.
template <typename Body>
void parallel_for(int64_t count, int threads, Body body) {
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1 && count > 1)
  for (int64_t i = 0; i < count; ++i) body(i);
}

}  // namespace dssm
