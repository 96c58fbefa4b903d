// SPDX-License-Identifier: Apache-2.0
// Bilinear resizing with antialiasing, as torch.nn.functional.interpolate does it with antialias=True.
#pragma once

#include <vector>

#include "hog_image.h"

namespace dssm {

// What the places along one axis are made of: the weighted mean of neighbouring places under a hat, which is as wide as
// the axis shrinks.
template <typename Real>
struct Taps {
  using V = Vector<Real>;

  Taps(int64_t from, int64_t to);

  int64_t most;                // places that one is made of, in whole vectors
  std::vector<int64_t> begin;  // the first of them; the places fill whole vectors too
  std::vector<int64_t> count;
  std::vector<Real> weights;            // `most` of them for every place, zeros at the end
  std::vector<Lane<Masks<V>>> present;  // -1 for those that count
};

template <typename Real>
class Resize {
 public:
  Resize(int64_t from_height, int64_t from_width, int64_t height, int64_t width)
      : down_(from_height, height), along_(from_width, width), height_(height), width_(width) {}

  // The resized image, to be read in place of the other; `pixels` holds it.
  Image<Real> operator()(const Image<Real>& image, std::vector<Real>& pixels) const;

 private:
  void shrink_row(const Real* from, Real* to) const;

  const Taps<Real> down_, along_;
  const int64_t height_, width_;
};

}  // namespace dssm
