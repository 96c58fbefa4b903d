// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "array.h"

namespace dssm {

enum class Activation : int { sigmoid, relu, none };

// The channel attention of equation 8; its arrays are null where there is none.
struct AttentionWeights {
  Array squeeze_weight, squeeze_bias, excite_weight, excite_bias;  // (R, Cout), (R), (Cout, R), (Cout)

  explicit operator bool() const { return static_cast<bool>(squeeze_weight); }
};

// Equations 6 to 8 for 1 x 1 windows. `x` (B, C, H, W), `weight` (4 or 1, Cout, C), `bias` (Cout) or null and the
// attention's weights are all float32, bfloat16 or float16 with any strides; `out` (B, Cout, H, W) has their type and
// is contiguous or channels_last. With attention, `squeezed` (2, B, Cout) float32 receives the means of the maps and
// what they are multiplied with; without, it is null. Products are summed in float32.
void mscm_cpu(const Array& x, const Array& weight, const Array& bias, const AttentionWeights& attention,
              int64_t dilation, Activation activation, const Array& out, const Array& squeezed, int threads);

// Channels of a register block: what fills less than half of it is mostly padding.
int mscm_width();

// What receives the gradients, contiguous (that of x may be channels_last), null where the input is.
struct MscmGradients {
  Array x, weight, bias, squeeze_weight, squeeze_bias, excite_weight, excite_bias;
};

// The gradients for `grad` (B, Cout, H, W) with any strides, from what the forward pass was given and returned.
void mscm_backward_cpu(const Array& grad, const Array& out, const Array& squeezed, const Array& x, const Array& weight,
                       const AttentionWeights& attention, int64_t dilation, Activation activation,
                       const MscmGradients& gradients, int threads);

}  // namespace dssm
