// SPDX-License-Identifier: Apache-2.0
// Pillow's Sharpness, equal bit for bit.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "augment_values.h"

namespace dssm {

// Pillow's Sharpness of a plane. SMOOTH is a 3x3 mean that counts its centre five times, rounded; the border stays.
// A row is read for the last time when it is replaced, so `to` may be `from`.
inline void sharpen(const uint8_t* from, int64_t stride, uint8_t* to, int64_t height, int64_t width, int factor) {
  const auto copy_row = [=](int64_t y) { std::memmove(to + y * width, from + y * stride, width); };
  if (height < 3 || width < 3) {
    for (int64_t y = 0; y < height; ++y) copy_row(y);
    return;
  }
  const int64_t inner = width - 2;
  std::vector<uint16_t> memory(3 * inner);
  uint16_t *above = memory.data(), *here = above + inner, *below = here + inner;  // sums of three neighbours
  const auto add_three = [](const uint8_t* row, uint16_t* sums, int64_t x, auto n) {
    const Words left = widen(load<Pixels>(row + x, n)), right = widen(load<Pixels>(row + x + 2, n));
    const Words sum = left + widen(load<Pixels>(row + x + 1, n)) + right;
    store(sums + x, sum, n);
    return sum;
  };
  const auto sum_row = [=](const uint8_t* row, uint16_t* sums) {
    const auto add = [=](int64_t x, auto n) { return add_three(row, sums, x, n); };
    transform<lanes<Words>>(inner, add, [](int64_t, Words, auto) {});
  };
  const Enhance enhance(factor);
  const auto sharpen_row = [&](const uint8_t* row, uint8_t* result) {
    const uint8_t first = row[0], last = row[width - 1];
    transform<lanes<Pixels>>(
        inner, [=](int64_t x, auto n) { return load<Pixels>(row + 1 + x, n); },
        [=](int64_t x, Pixels pixels, auto n) {
          const Words value = widen(pixels), sums = load<Words>(above + x, n) + load<Words>(here + x, n);
          const Words total = sums + add_three(row + stride, below, x, n) + 4 * value;
          // (total + 6) / 13: below 2^12, 5042 / 65536 is as good as 1 / 13.
          store(result + 1 + x, enhance(multiply_high(total + 6, splat<Words>(5042)), value), n);
        });
    result[0] = first;
    result[width - 1] = last;
  };
  sum_row(from, above);
  sum_row(from + stride, here);
  copy_row(0);
  for (int64_t y = 1; y < height - 1; ++y) {
    sharpen_row(from + y * stride, to + y * width);
    std::swap(above, here);
    std::swap(here, below);
  }
  copy_row(height - 1);
}

}  // namespace dssm
