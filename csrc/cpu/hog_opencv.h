// SPDX-License-Identifier: Apache-2.0
// HOG as OpenCV defines it: votes shared between bins and cells under a Gaussian, blocks column by column.
#pragma once

#include "hog.h"
#include "hog_image.h"

namespace dssm {

// The histograms of all blocks before their normalisation.
template <typename Real>
void add_up_blocks(const Image<Real>& image, const HogSettings& settings, Real* out);

template <typename Real>
void hog_opencv(const Image<Real>& image, const HogSettings& settings, Real* out);

}  // namespace dssm
