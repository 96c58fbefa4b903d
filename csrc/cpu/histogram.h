// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "array.h"

namespace dssm {

// Counts scores (B, H, W), floating, by the upper bits of their float in `bins` (3, 2^k), double, contiguous: those of
// weight zero, the others, and the others' weights. `weights` (B, H, W) double; any strides.
void histogram_cpu(const Array& scores, const Array& weights, const Array& bins);

}  // namespace dssm
