// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "array.h"

namespace dssm {

// In the order of dssm.ops.hog.NORMS and MODES.
enum class Norm { l1, l1_sqrt, l2, l2_hys };
enum class HogMode { skimage, opencv };

struct HogSettings {
  int64_t orientations;
  std::array<int64_t, 2> cell, block;  // pixels and cells: rows, columns
  Norm norm;
  bool sqrt;
  HogMode mode;
};

// Histograms of oriented gradients of a batch (batch, channels, height, width) of any strides; `out` is contiguous.
// uint8 to float32 or float64, float32 to float32, float64 to float64.
void hog_cpu(const Array& image, const Array& out, const HogSettings& settings, int threads);

}  // namespace dssm
