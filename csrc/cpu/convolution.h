// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "array.h"

namespace dssm {

// How many channels lie side by side in the kernels; they take multiples of it.
int convolution_panel();

// A 3x3 convolution of stride 1 with zero padding 1. `x` (batch, in, height, width) and `out` (batch, out, height,
// width) are channels_last, float32; `weight` (out, in, 3, 3) has any strides.
void convolution_cpu(const Array& x, const Array& weight, const Array& out, int threads);

// max(convolution + bias + added, 0), or without the maximum. `bias` (out) and `added`, channels_last like `out`, may
// be missing; so may `prepared`, 36 or 16 floats per pair of channels, which are worth keeping for weights that stay:
// of tiles of 4x4 or 2x2 pixels.
void convolution_prepare_cpu(const Array& weight, const Array& prepared, int threads);
void convolution_fused_cpu(const Array& x, const Array& weight, const Array& prepared, const Array& bias,
                           const Array& added, bool relu, const Array& out, int threads);

// The gradients of the convolution: `grad` is that of its result, channels_last like `grad_x`.
void convolution_backward_x_cpu(const Array& grad, const Array& weight, const Array& grad_x, int threads);
void convolution_backward_weight_cpu(const Array& grad, const Array& x, const Array& grad_weight, int threads);

}  // namespace dssm
