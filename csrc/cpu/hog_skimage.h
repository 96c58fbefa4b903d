// SPDX-License-Identifier: Apache-2.0
// HOG as scikit-image defines it: hard bins, cells averaged, blocks row by row.
#pragma once

#include <vector>

#include "hog.h"
#include "hog_image.h"

namespace dssm {

// The mean magnitude per bin of every cell: (cell row, cell column, orientation).
template <typename Real>
std::vector<Real> average_cells(const Image<Real>& image, const HogSettings& settings);

template <typename Real>
void hog_skimage(const Image<Real>& image, const HogSettings& settings, Real* out);

}  // namespace dssm
