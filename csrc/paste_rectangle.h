// SPDX-License-Identifier: Apache-2.0
// Scars and patches: integers, or float64 where IEEE prescribes the result, so that CPU and CUDA kernels, which share
// this, cut the same pixels.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "device.h"
#include "paste_draw.h"
#include "philox.h"

namespace dssm {

// The integers in [begin, end).
struct Interval {
  int64_t begin, end;
};

// A rectangle of the image and the place that its pixels come from; see `cut` in dssm/reference/paste.py.
class Rectangle {
 public:
  Rectangle() = default;
  DSSM_HOST_DEVICE Rectangle(uint64_t index, Kind kind, const std::array<int64_t, 2>& size,
                             const PasteSettings& settings);

  // Calls body(y, begin, end) for every row that it covers.
  template <typename Body>
  void for_each_row(Body body) const {
    const Interval rows = this->rows();
    for (int64_t y = rows.begin; y < rows.end; ++y) {
      const Interval inside = row(y);
      if (inside.begin < inside.end) body(y, inside.begin, inside.end);
    }
  }

  DSSM_HOST_DEVICE bool upright() const { return sin_ == 0; }

  // The row and the column of the pixel that shows at (y, x).
  DSSM_HOST_DEVICE std::array<int64_t, 2> origin(int64_t y, int64_t x) const {
    const int64_t dy = y - y_, dx = x - x_;
    const int64_t down = (cos_ * dy - sin_ * dx + 32768) >> 16, right = (sin_ * dy + cos_ * dx + 32768) >> 16;
    return {std::clamp<int64_t>(from_y_ + down, 0, size_[0] - 1),
            std::clamp<int64_t>(from_x_ + right, 0, size_[1] - 1)};
  }

  // What it covers of row y, inside the image.
  DSSM_HOST_DEVICE Interval row(int64_t y) const {
    const int64_t dy = y - y_;
    const Interval down = solve(cos_ * dy, -sin_, height_ << 15), right = solve(sin_ * dy, cos_, width_ << 15);
    return {std::max<int64_t>(x_ + std::max(down.begin, right.begin), 0),
            std::min(x_ + std::min(down.end, right.end), size_[1])};
  }

 private:
  // The rows that it may cover.
  Interval rows() const {
    const int64_t reach = box_height_ / 2 + 1;
    return {std::max<int64_t>(y_ - reach, 0), std::min(y_ + reach + 1, size_[0])};
  }

  // sqrt(a / b): both steps are correctly rounded, so every backend agrees.
  DSSM_HOST_DEVICE static double root(int64_t numerator, int64_t denominator) {
    return std::sqrt(static_cast<double>(numerator) / static_cast<double>(denominator));
  }

  DSSM_HOST_DEVICE static int64_t centre(uint32_t word, int64_t extent, int64_t length) {
    extent = std::min(extent, length);
    return integer(word, extent / 2, length - (extent + 1) / 2 + 1);
  }

  DSSM_HOST_DEVICE static int64_t divide_up(int64_t a, int64_t b) { return a / b + (a % b > 0); }

  // The integers x with -half <= a + b x < half.
  DSSM_HOST_DEVICE static Interval solve(int64_t a, int64_t b, int64_t half) {
    constexpr int64_t kFar = INT64_MAX / 2;
    if (b == 0) return -half <= a && a < half ? Interval{-kFar, kFar} : Interval{0, 0};
    if (b > 0) return {divide_up(-half - a, b), divide_up(half - a, b)};
    return {divide_up(1 - half + a, -b), divide_up(1 + half + a, -b)};  // -half < -a - b x <= half
  }

  DSSM_HOST_DEVICE void fit(const std::array<int64_t, 2>& area);

  std::array<int64_t, 2> size_;  // of the image
  int64_t height_, width_;       // pixels
  int64_t cos_, sin_;            // in 1/65536
  int64_t box_height_, box_width_;
  int64_t y_, x_;            // its centre
  int64_t from_y_, from_x_;  // the centre of its origin
};

// Sides inside the image and at least 1, with least <= h w <= most where that can be.
DSSM_HOST_DEVICE inline void Rectangle::fit(const std::array<int64_t, 2>& area) {
  const auto [height, width] = size_;
  const auto [least, most] = area;
  int64_t h = std::clamp<int64_t>(height_, 1, height), w = std::clamp<int64_t>(width_, 1, width);
  if (h * w < least) {
    const double taller = std::ceil(root(h * least, w)), wider = std::ceil(root(w * least, h));
    h = std::clamp<int64_t>(static_cast<int64_t>(taller), 1, height);
    w = std::clamp<int64_t>(static_cast<int64_t>(wider), 1, width);
  }
  if (h * w > most) {
    const double lower = root(h * most, w), narrower = root(w * most, h);
    h = std::max<int64_t>(static_cast<int64_t>(lower), 1);
    w = std::max<int64_t>(static_cast<int64_t>(narrower), 1);
  }
  height_ = std::max<int64_t>(std::min(h, most / w), 1);
  width_ = std::max<int64_t>(std::min(w, most / height_), 1);
}

DSSM_HOST_DEVICE inline Rectangle::Rectangle(uint64_t index, Kind kind, const std::array<int64_t, 2>& size,
                                             const PasteSettings& settings)
    : size_(size) {
  constexpr double kPi = 3.14159265358979323846;
  const auto [height, width] = size;
  const auto words = philox(settings.seed, index, Stream::paste, 0);
  int64_t degrees = 0;
  if (kind == scar) {
    const int64_t side = std::min(height, width);
    height_ = (integer(words[1], 10 * 256, 25 * 256 + 1) * side + 32768) >> 16;
    width_ = (integer(words[2], 2 * 256, 16 * 256 + 1) * side + 32768) >> 16;
    degrees = integer(words[3], -45, 46);
  } else {
    const int64_t share = integer(words[1], 2000, 15001) * height * width;
    const bool slender = integer(words[3], 0, 2) == 0;
    const int64_t aspect = slender ? integer(words[2], 300, 1001) : integer(words[2], 1000, 3301);
    height_ = static_cast<int64_t>(root(share * aspect, 100000000));
    width_ = static_cast<int64_t>(root(share, 100 * aspect));
  }
  fit(settings.area);
  const double radians = static_cast<double>(degrees) * (kPi / 180);
  cos_ = static_cast<int64_t>(std::nearbyint(std::cos(radians) * 65536));
  sin_ = static_cast<int64_t>(std::nearbyint(std::sin(radians) * 65536));
  box_height_ = (height_ * cos_ + width_ * std::abs(sin_) + 65535) >> 16;
  box_width_ = (width_ * cos_ + height_ * std::abs(sin_) + 65535) >> 16;

  const auto places = philox(settings.seed, index, Stream::paste, 1);
  y_ = centre(places[0], box_height_, height);
  x_ = centre(places[1], box_width_, width);
  from_y_ = centre(places[2], height_, height);
  from_x_ = centre(places[3], width_, width);
}

}  // namespace dssm
