// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "array.h"

namespace dssm {

// How many channels lie side by side in the kernels; they take multiples of it.
int batchnorm_panel();

// y = f(weight (x - mean) rstd + bias + residual), f the identity or ReLU, with the mean and 1 / sqrt(variance + eps)
// of every channel over the batch. `x`, `residual` (or null) and `y` are float32 maps (batch, channels, height, width),
// channels_last; the other arrays are vectors of channels, float32 and contiguous.
void batchnorm_cpu(const Array& x, const Array& weight, const Array& bias, const Array& residual, double eps, bool relu,
                   const Array& y, const Array& mean, const Array& rstd, int threads);

// The gradients for `grad`, that of y; `grad_residual` may be null.
void batchnorm_backward_cpu(const Array& grad, const Array& x, const Array& weight, bool relu, const Array& y,
                            const Array& mean, const Array& rstd, const Array& grad_x, const Array& grad_weight,
                            const Array& grad_bias, const Array& grad_residual, int threads);

}  // namespace dssm
