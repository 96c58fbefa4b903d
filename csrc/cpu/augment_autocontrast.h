// SPDX-License-Identifier: Apache-2.0
// Pillow's autocontrast, equal bit for bit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "augment_values.h"

namespace dssm {

struct Extremes {
  uint8_t low = 255, high = 0;

  void include(const uint8_t* values, int64_t count) {
    uint8_t least = low, most = high;
    for (int64_t i = 0; i < count; ++i) {
      least = std::min(least, values[i]);
      most = std::max(most, values[i]);
    }
    low = least;
    high = most;
  }
};

// int(value * scale + offset) in double, as Pillow has it, for values between the extremes. A 16-bit fraction, rounded
// up, gives the same but for quotients that are an integer n and that the doubles miss: those must become n - 1. There
// are 17 at most, and none in most ranges.
class Stretch {
 public:
  Stretch() = default;

  explicit Stretch(Extremes extremes) {
    const int low = extremes.low, range = extremes.high - low;
    if (range == 0) return;
    low_ = extremes.low;
    whole_ = static_cast<uint16_t>(255 / range);
    fraction_ = static_cast<uint16_t>((255 % range * 65536 + range - 1) / range);
    const double scale = 255.0 / range, offset = -static_cast<double>(low) * scale;
    for (int x = 0; x <= range; ++x) {
      const int exact = std::clamp(static_cast<int>((low + x) * scale + offset), 0, 255);
      if (exact != x * whole_ + (x * fraction_ >> 16)) missed_.push_back(static_cast<uint8_t>(exact + 1));
    }
  }

  void operator()(const uint8_t* from, uint8_t* to, int64_t count) const {
    const Words low = splat<Words>(low_), fraction = splat<Words>(fraction_);
    map<Pixels>(from, to, count, [=, whole = whole_](Pixels value) {
      const Words above = widen(value) - low;
      return clip(reinterpret_cast<Shorts>(above * whole + multiply_high(above, fraction)));
    });
    // No two values share a result: the factor is 1 or more.
    for (const uint8_t n : missed_) {
      map<Bytes>(to, to, count, [=](Bytes value) { return value + reinterpret_cast<Bytes>(value == n); });
    }
  }

 private:
  uint16_t low_ = 0, whole_ = 1, fraction_ = 0;
  std::vector<uint8_t> missed_;  // n
};

}  // namespace dssm
