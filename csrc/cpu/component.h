// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace dssm {

// Largest connected component of `batch` masks. `mask` holds bytes 0 or 1 with strides in bytes; `out` is contiguous.
void component_cpu(const uint8_t* mask, uint8_t* out, int64_t batch, int64_t height, int64_t width,
                   const int64_t stride[3], int connectivity, int threads);

}  // namespace dssm
