// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace dssm {

enum class Norm { l1, l1_sqrt, l2, l2_hys };
enum class HogMode { skimage, opencv };

struct HogSettings {
  int64_t orientations;
  std::array<int64_t, 2> cell, block;  // pixels and cells: rows, columns
  Norm norm;
  bool sqrt;
  HogMode mode;
};

// Histograms of oriented gradients of a batch. `size` and `stride` are of (batch, channels, height, width), strides in
// elements; `out` is contiguous. Instantiated for <uint8_t, float>, <uint8_t, double>, <float, float>, <double,
// double>.
template <typename Pixel, typename Real>
void hog_cpu(const Pixel* image, Real* out, const std::array<int64_t, 4>& size, const std::array<int64_t, 4>& stride,
             const HogSettings& settings, int threads);

}  // namespace dssm
