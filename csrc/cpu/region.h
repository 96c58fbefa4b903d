// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "array.h"

namespace dssm {

// 1 / area of the 8-connected region that each pixel of masks (B, H, W), booleans of any strides, belongs to, and zero
// outside; `out` double, contiguous.
void region_cpu(const Array& mask, const Array& out, int threads);

}  // namespace dssm
