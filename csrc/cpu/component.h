// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "array.h"

namespace dssm {

// The largest connected component of one mask of bytes 0 and 1; both planes are contiguous.
void component_plane(const uint8_t* mask, uint8_t* out, int64_t height, int64_t width, int connectivity);

// The same for every mask of a batch (batch, height, width) of any strides; `out` is contiguous.
void component_cpu(const Array& mask, const Array& out, int connectivity, int threads);

}  // namespace dssm
