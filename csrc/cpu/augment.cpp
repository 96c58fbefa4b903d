// SPDX-License-Identifier: Apache-2.0
// The six RandAugment operations, equal to Pillow bit for bit. What looks at one value only becomes a table of 256.
#include "augment.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "cpu.h"
#include "philox.h"

namespace dssm {
namespace {

enum Operation { autocontrast, posterize, solarize, sharpness, brightness, color, kOperations };

constexpr int64_t kRanges[kOperations][2] = {{0, 1}, {4, 8}, {32, 224}, {26, 487}, {26, 487}, {26, 487}};

struct Image {
  uint8_t* values;
  int64_t channels, height, width;

  int64_t area() const { return height * width; }
  uint8_t* plane(int64_t channel) const { return values + channel * area(); }
};

using Table = std::array<uint8_t, 256>;

template <typename Function>
Table tabulate(Function function) {
  Table table;
  for (int value = 0; value < 256; ++value) table[value] = static_cast<uint8_t>(function(value));
  return table;
}

void map(uint8_t* values, int64_t count, const Table& table) {
  for (int64_t i = 0; i < count; ++i) values[i] = table[values[i]];
}

// degenerate + factor / 256 (value - degenerate), cut to an integer and clipped.
uint8_t enhance(int degenerate, int value, int factor) {
  return static_cast<uint8_t>(std::clamp((256 * degenerate + factor * (value - degenerate)) >> 8, 0, 255));
}

void stretch(uint8_t* plane, int64_t area) {
  const auto [low, high] = std::minmax_element(plane, plane + area);
  if (*low == *high) return;
  const double scale = 255.0 / (*high - *low), offset = -static_cast<double>(*low) * scale;
  map(plane, area, tabulate([&](int value) { return std::clamp(static_cast<int>(value * scale + offset), 0, 255); }));
}

// Pillow's SMOOTH is a 3x3 mean that counts its centre five times, rounded; the border stays.
void sharpen(uint8_t* plane, int64_t height, int64_t width, int factor) {
  const std::vector<uint8_t> before(plane, plane + height * width);
  const bool large = height >= 3 && width >= 3;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const uint8_t* centre = &before[y * width + x];
      int smooth = *centre;
      if (large && y > 0 && y < height - 1 && x > 0 && x < width - 1) {
        int total = 4 * *centre;
        for (const uint8_t* row : {centre - width, centre, centre + width}) total += row[-1] + row[0] + row[1];
        smooth = (2 * total + 13) / 26;
      }
      plane[y * width + x] = enhance(smooth, *centre, factor);
    }
  }
}

void colour(const Image& image, int factor) {
  uint8_t *red = image.plane(0), *green = image.plane(1), *blue = image.plane(2);
  for (int64_t i = 0; i < image.area(); ++i) {
    const int grey = (19595 * red[i] + 38470 * green[i] + 7471 * blue[i] + 0x8000) >> 16;
    for (uint8_t* plane : {red, green, blue}) plane[i] = enhance(grey, plane[i], factor);
  }
}

void apply(const Image& image, int operation, int magnitude) {
  const int64_t values = image.channels * image.area();
  switch (operation) {
    case autocontrast:
      for (int64_t c = 0; c < image.channels; ++c) stretch(image.plane(c), image.area());
      break;
    case posterize:
      map(image.values, values, tabulate([&](int value) { return value >> (8 - magnitude) << (8 - magnitude); }));
      break;
    case solarize:
      map(image.values, values, tabulate([&](int value) { return value < magnitude ? value : 255 - value; }));
      break;
    case sharpness:
      for (int64_t c = 0; c < image.channels; ++c) sharpen(image.plane(c), image.height, image.width, magnitude);
      break;
    case brightness:
      map(image.values, values, tabulate([&](int value) { return enhance(0, value, magnitude); }));
      break;
    case color:
      if (image.channels == 3) colour(image, magnitude);
      break;
  }
}

}  // namespace

void augment_cpu(const Array& image, const Array& index, uint64_t seed, int64_t count, int threads) {
  if (image.count() == 0) return;
  const auto [batch, channels, height, width] = sizes<4>(image);
  parallel_for(batch, threads, [&, channels = channels, height = height, width = width](int64_t sample) {
    const Image one{image.at<uint8_t>(sample), channels, height, width};
    std::array<int, kOperations> order;
    std::iota(order.begin(), order.end(), 0);
    for (int64_t step = 0; step < count; ++step) {
      const auto words = philox(seed, *index.at<int64_t>(sample), Stream::augment, static_cast<uint32_t>(step));
      std::swap(order[step], order[integer(words[0], step, kOperations)]);
      const auto [lo, hi] = kRanges[order[step]];
      apply(one, order[step], static_cast<int>(integer(words[1], lo, hi)));
    }
  });
}

}  // namespace dssm
