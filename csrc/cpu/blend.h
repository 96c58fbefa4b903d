// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

#include "array.h"

namespace dssm {

// a I + (1 - a) I_e for one pixel.
template <typename Pixel>
struct Mix {
  Pixel weight;

  explicit Mix(double alpha) : weight(static_cast<Pixel>(alpha)) {}
  Pixel operator()(Pixel image, Pixel source) const { return weight * image + (1 - weight) * source; }
};

// The same in 16-bit fixed point, so that every backend rounds alike.
template <>
struct Mix<uint8_t> {
  int32_t weight;

  explicit Mix(double alpha) : weight(static_cast<int32_t>(std::nearbyint(alpha * 65536))) {}
  uint8_t operator()(uint8_t image, uint8_t source) const {
    return static_cast<uint8_t>((weight * image + (65536 - weight) * source + 32768) >> 16);
  }
};

// Equation 3 over a batch. `image` and `source` (batch, channels, height, width) and `mask` (batch, height, width) may
// have any strides; `alpha` (batch, float64) and `out` are contiguous. uint8, float32 and float64.
void blend_cpu(const Array& image, const Array& source, const Array& mask, const Array& alpha, const Array& out,
               int threads);

}  // namespace dssm
