// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "array.h"
#include "simd.h"

namespace dssm {

// Values are cut off at both ends; NaN stays.
struct Range {
  float low, high;

  template <typename V>
  V clamp(V value) const {
    value = value < low ? splat<V>(low) : value;
    return value > high ? splat<V>(high) : value;
  }
};

// How many channels lie side by side in the kernels; they take multiples of it.
int convolution_panel();

// A 3x3 convolution of stride 1 with zero padding 1. `x` (batch, in, height, width) and `out` (batch, out, height,
// width) are channels_last, float32; `weight` (out, in, 3, 3) has any strides.
void convolution_cpu(const Array& x, const Array& weight, const Array& out, int threads);

// clamp(convolution + bias + added, low, high). `bias` (out) and `added`, channels_last like `out`, may
// be missing; so may `prepared`, 36 or 16 floats per pair of channels, which are worth keeping for weights that stay:
// of tiles of 4x4 or 2x2 pixels.
void convolution_prepare_cpu(const Array& weight, const Array& prepared, int threads);
void convolution_fused_cpu(const Array& x, const Array& weight, const Array& prepared, const Array& bias,
                           const Array& added, float low, float high, const Array& out, int threads);

// clamp(convolution + bias, low, high) of every channel alone, by `taps` (side, side, channels), side 3 or 5. `x` and
// `out` are channels_last, float32, and channels fill vectors; stride 1 or 2; zeros surround x, `top` rows and `left`
// columns before it, after it as many as `out` needs.
void convolution_depthwise_cpu(const Array& x, const Array& taps, const Array& bias, int64_t stride, int64_t top,
                               int64_t left, float low, float high, const Array& out, int threads);

// clamp(1x1 convolution + bias + added, low, high), channels_last, float32. `panels` (out / panel, in, panel) and
// `bias` (out) are filled up with zeros to multiples of convolution_panel(); `added`, like `out`, may be missing.
void convolution_pointwise_cpu(const Array& x, const Array& panels, const Array& bias, const Array& added, float low,
                               float high, const Array& out, int threads);

// The gradients of the convolution: `grad` is that of its result, channels_last like `grad_x`.
void convolution_backward_x_cpu(const Array& grad, const Array& weight, const Array& grad_x, int threads);
void convolution_backward_weight_cpu(const Array& grad, const Array& x, const Array& grad_weight, int threads);

}  // namespace dssm
