// SPDX-License-Identifier: Apache-2.0
#include "mscm_attention.h"

#include <cmath>

namespace dssm::mscm {

namespace {

// The matrix, or the column, in float rows.
Buffer floats(const Array& array, int64_t rows, int64_t columns, int64_t pitch) {
  Buffer buffer(rows * pitch);
  visit<float, bfloat16, float16>(array.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    to_rows<T>({array.as<T>(), rows, columns, array.stride[0], array.stride[1]}, buffer.data(), pitch);
  });
  return buffer;
}

Buffer floats(const Array& vector) {
  Buffer buffer(round_up(vector.size[0], kLanes));
  visit<float, bfloat16, float16>(vector.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    to_rows<T>({vector.as<T>(), 1, vector.size[0], 0, vector.stride[0]}, buffer.data(), 0);
  });
  return buffer;
}

float dot(const float* a, const float* b, int64_t count) {
  Floats total{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) total = fma(load<Floats>(a + i), load<Floats>(b + i), total);
  return sum(fma(load<Floats>(a + i, count - i), load<Floats>(b + i, count - i), total));
}

}  // namespace

Attention::Attention(const AttentionWeights& weights)
    : channels_(weights.squeeze_weight.size[1]),
      hidden_(weights.squeeze_weight.size[0]),
      squeeze_pitch_(round_up(channels_, kLanes)),
      excite_pitch_(round_up(hidden_, kLanes)),
      squeeze_weight_(floats(weights.squeeze_weight, hidden_, channels_, squeeze_pitch_)),
      squeeze_bias_(floats(weights.squeeze_bias)),
      excite_weight_(floats(weights.excite_weight, channels_, hidden_, excite_pitch_)),
      excite_bias_(floats(weights.excite_bias)) {}

void Attention::scale(const float* mean, float* hidden, float* scale) const {
  for (int64_t r = 0; r < hidden_; ++r) {
    const float value = dot(squeeze_weight_.data() + r * squeeze_pitch_, mean, channels_) + squeeze_bias_.data()[r];
    hidden[r] = value < 0 ? 0 : value;
  }
  for (int64_t c = 0; c < channels_; ++c) {
    const float value = dot(excite_weight_.data() + c * excite_pitch_, hidden, hidden_) + excite_bias_.data()[c];
    scale[c] = 1 / (1 + std::exp(-value));
  }
}

void Attention::backward(const float* excite_grad, const float* hidden, float* squeeze_grad, float* mean_grad) const {
  std::fill_n(squeeze_grad, hidden_, 0.0f);
  for (int64_t c = 0; c < channels_; ++c) {
    const float* weight = excite_weight_.data() + c * excite_pitch_;
    for (int64_t r = 0; r < hidden_; ++r) squeeze_grad[r] += excite_grad[c] * weight[r];
  }
  std::fill_n(mean_grad, channels_, 0.0f);
  for (int64_t r = 0; r < hidden_; ++r) {
    if (hidden[r] <= 0) squeeze_grad[r] = 0;
    const float* weight = squeeze_weight_.data() + r * squeeze_pitch_;
    for (int64_t c = 0; c < channels_; ++c) mean_grad[c] += squeeze_grad[r] * weight[c];
  }
}

}  // namespace dssm::mscm
