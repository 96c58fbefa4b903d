// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "array.h"

namespace dssm {

// Adds feature vectors to the means and scatters of `count` others, one pass, in double. x (N, C), floating, of any
// strides, with mean (C) and scatter (C, C); or x (B, C, H, W) with mean (H, W, C) and scatter (H, W, C, C). Mean and
// scatter are contiguous; only the lower triangle of a scatter is kept up.
void covariance_cpu(const Array& x, const Array& mean, const Array& scatter, int64_t count, int threads);

}  // namespace dssm
