// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

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

// Equation 3 over a batch. `size` is (batch, channels, height, width), `out` and `alpha` are contiguous, and the
// strides of image, source and mask are in elements. Instantiated for uint8_t, float and double.
template <typename Pixel>
void blend_cpu(const Pixel* image, const Pixel* source, const uint8_t* mask, const double* alpha, Pixel* out,
               const std::array<int64_t, 4>& size, const std::array<int64_t, 4>& image_stride,
               const std::array<int64_t, 4>& source_stride, const std::array<int64_t, 3>& mask_stride, int threads);

}  // namespace dssm
