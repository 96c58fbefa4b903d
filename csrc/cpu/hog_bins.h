// SPDX-License-Identifier: Apache-2.0
// The bin that holds the angle of a gradient, found by comparisons alone.
#pragma once

#include <cmath>
#include <vector>

#include "hog_usual.h"
#include "simd.h"

namespace dssm {

// An angle's bin is the number of edges i = 1, 2, ... that it has reached: dy cos(t_i) >= dx sin(t_i), with (dx, dy)
// turned into the upper half plane. Left of the vertical all edges up to it are reached, right of it none beyond; so
// only one quadrant's edges remain to be compared with, those of i and of orientations - i being mirror images.
template <typename Real>
class Bins {
 public:
  using V = Vector<Real>;
  using I = Masks<V>;

  explicit Bins(int64_t orientations) : left_(orientations / 2) {
    for (int64_t i = 1; 2 * i < orientations; ++i) {
      const double angle = kPi * i / orientations;
      // Pixels do lie on 45 degrees: no rounding there.
      const bool diagonal = 4 * i == orientations;
      edges_.push_back(
          {static_cast<Real>(diagonal ? 1 : std::cos(angle)), static_cast<Real>(diagonal ? 1 : std::sin(angle))});
    }
  }

  I operator()(V dy, V dx) const {
    const I upside_down = (I)(dy == 0 ? dx : dy) & kSign;
    const V across = (V)((I)dx ^ upside_down);
    const I left = across <= 0;
    const V up = (V)(((I)dy & ~kSign) | (left & kSign));  // mirrored with dx
    I bin = left & left_;
    usually<4>(edges_.size(), [&](auto count) {
      for (int64_t i = 0; i < count; ++i) bin -= up * edges_[i].cos >= across * edges_[i].sin;
    });
    return bin;
  }

 private:
  struct Edge {
    Real cos, sin;
  };
  static constexpr double kPi = 3.14159265358979323846;
  static constexpr Lane<I> kSign = std::numeric_limits<Lane<I>>::min();

  const Lane<I> left_;
  std::vector<Edge> edges_;
};

}  // namespace dssm
