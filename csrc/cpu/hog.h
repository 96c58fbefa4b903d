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

// Histograms of oriented gradients of a batch (batch, channels, height, width) of any strides and element type;
// `out` is contiguous, float32 or float64, which is also what is computed in. With a size that is not zero, (rows,
// columns), images are resized to it first.
void hog_cpu(const Array& image, const Array& out, const HogSettings& settings, std::array<int64_t, 2> size,
             int threads);

// The gradient with respect to the image, of which `out` has the sizes; `grad` is contiguous and both are of one type.
void hog_backward_cpu(const Array& grad, const Array& image, const Array& out, const HogSettings& settings,
                      int threads);

}  // namespace dssm
