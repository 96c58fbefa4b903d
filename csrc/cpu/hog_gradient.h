// SPDX-License-Identifier: Apache-2.0
// Central differences of an image, in the channel where they are largest.
#pragma once

#include "hog_image.h"
#include "hog_usual.h"

namespace dssm {

// As many neighbours of a row as fit a vector.
template <typename Real>
struct Steps {
  using V = Vector<Real>;
  V dy, dx, square;  // dy^2 + dx^2
  Masks<V> channel;
};

// Visits the rows of some columns of an image from above, and keeps three of them.
template <typename Real>
class Gradient {
 public:
  using V = Vector<Real>;
  using I = Masks<V>;

  Gradient(const Image<Real>& image, bool sqrt, Columns columns)
      : image_(image),
        sqrt_(sqrt),
        columns_(columns),
        read_{std::max<int64_t>(columns.begin - 1, 0), std::min(columns.end + 1, image.width)},
        pitch_(padded<Real>(columns.count()) + 2 * kPad),
        rows_(3 * image.channels * pitch_),
        zeros_(pitch_),
        inside_(pitch_, -1) {
    if (columns.begin == 0) inside_[kPad] = 0;
    if (columns.end == image.width) inside_[kPad + columns.count() - 1] = 0;
  }

  // Calls body(x, Steps) for the pixels x, x + 1, ... of row y, counted from the first column; x is a multiple of the
  // lanes.
  template <typename Body>
  void visit(int64_t y, Body body) {
    while (loaded_ < std::min(y + 2, image_.height)) load(loaded_++);
    usually<3>(image_.channels, [&](auto channels) { visit(y, body, channels); });
  }

 private:
  static constexpr int64_t kPad = lanes<V>;

  Real* row(int64_t y) { return &rows_[y % 3 * image_.channels * pitch_ + kPad]; }

  void load(int64_t y) {
    Real* to = row(y);
    image_.read(image_, y, read_, to + read_.begin - columns_.begin, pitch_);
    if (!sqrt_) return;
    for (int64_t i = -kPad; i < image_.channels * pitch_ - kPad; i += lanes<V>) {
      store(to + i, dssm::sqrt(dssm::load<V>(to + i)));
    }
  }

  template <typename Body, typename Channels>
  void visit(int64_t y, Body body, Channels channels) {
    // Across a border of the image the difference is zero.
    const bool border = y == 0 || y + 1 == image_.height;
    const Real* middle = row(y);
    const Real* above = border ? &zeros_[kPad] : row(y - 1);
    const Real* below = border ? &zeros_[kPad] : row(y + 1);
    const int64_t pitch = border ? 0 : pitch_;
    for (int64_t x = 0; x < columns_.count(); x += lanes<V>) {
      const I inside = dssm::load<I>(&inside_[kPad + x]);
      const auto steps_of = [&](int64_t c) -> Steps<Real> {
        const V dy = dssm::load<V>(below + c * pitch + x) - dssm::load<V>(above + c * pitch + x);
        const Real* at = middle + c * pitch_ + x;
        const V dx = (V)((I)(dssm::load<V>(at + 1) - dssm::load<V>(at - 1)) & inside);
        return {dy, dx, (V)((I)fma(dx, dx, dy * dy) & kNoSign), splat<I>(c)};
      };
      Steps<Real> best = steps_of(0);
      for (int64_t c = 1; c < channels; ++c) {
        const Steps<Real> steps = steps_of(c);
        // Read as integers, squares keep their order, and a NaN is the largest.
        const I stronger = (I)steps.square > (I)best.square;
        best.dy = stronger ? steps.dy : best.dy;
        best.dx = stronger ? steps.dx : best.dx;
        best.square = stronger ? steps.square : best.square;
        best.channel = stronger ? steps.channel : best.channel;
      }
      body(x, best);
    }
  }

  static constexpr Lane<I> kNoSign = std::numeric_limits<Lane<I>>::max();

  const Image<Real> image_;
  const bool sqrt_;
  const Columns columns_, read_;  // with the neighbours
  const int64_t pitch_;
  int64_t loaded_ = 0;
  std::vector<Real> rows_, zeros_;
  std::vector<Lane<I>> inside_;  // -1 where a pixel has neighbours left and right
};

}  // namespace dssm
