// SPDX-License-Identifier: Apache-2.0
// Equation 8 for one image: s = sigmoid(W2 h + b2), h = relu(W1 z + b1), z the means of the maps.
#pragma once

#include <cstdint>

#include "mscm.h"
#include "mscm_rows.h"

namespace dssm::mscm {

class Attention {
 public:
  explicit Attention(const AttentionWeights& weights);

  int64_t channels() const { return channels_; }
  int64_t hidden() const { return hidden_; }

  // From the `mean` (channels) to `hidden` (hidden) and `scale` (channels).
  void scale(const float* mean, float* hidden, float* scale) const;

  // From dL/dW2 h to dL/dW1 z (hidden), and on to dL/dz (channels).
  void backward(const float* excite_grad, const float* hidden, float* squeeze_grad, float* mean_grad) const;

 private:
  int64_t channels_, hidden_;
  int64_t squeeze_pitch_, excite_pitch_;
  Buffer squeeze_weight_, squeeze_bias_, excite_weight_, excite_bias_;
};

}  // namespace dssm::mscm
