// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "paste.h"

namespace dssm {

// The integers in [begin, end).
struct Interval {
  int64_t begin, end;
};

// A rectangle of the image and the place that its pixels come from; see `cut` in dssm/reference/paste.py.
class Rectangle {
 public:
  Rectangle(uint64_t index, Kind kind, const std::array<int64_t, 2>& size, const PasteSettings& settings);

  // Calls body(y, begin, end) for every row that it covers.
  template <typename Body>
  void for_each_row(Body body) const {
    const Interval rows = this->rows();
    for (int64_t y = rows.begin; y < rows.end; ++y) {
      const Interval inside = row(y);
      if (inside.begin < inside.end) body(y, inside.begin, inside.end);
    }
  }

  bool upright() const { return sin_ == 0; }

  // The row and the column of the pixel that shows at (y, x).
  std::array<int64_t, 2> origin(int64_t y, int64_t x) const {
    const int64_t dy = y - y_, dx = x - x_;
    const int64_t down = (cos_ * dy - sin_ * dx + 32768) >> 16, right = (sin_ * dy + cos_ * dx + 32768) >> 16;
    return {std::clamp<int64_t>(from_y_ + down, 0, size_[0] - 1),
            std::clamp<int64_t>(from_x_ + right, 0, size_[1] - 1)};
  }

 private:
  Interval rows() const;          // that it may cover
  Interval row(int64_t y) const;  // that it covers in row y, inside the image

  std::array<int64_t, 2> size_;  // of the image
  int64_t height_, width_;       // pixels
  int64_t cos_, sin_;            // in 1/65536
  int64_t box_height_, box_width_;
  int64_t y_, x_;            // its centre
  int64_t from_y_, from_x_;  // the centre of its origin
};

}  // namespace dssm
