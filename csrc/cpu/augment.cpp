// SPDX-License-Identifier: Apache-2.0
// The six RandAugment operations. The first reads the image, so that the copy costs nothing; those that look at one
// pixel alone follow each other on a piece of the image while it is in the first cache.
#include "augment.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "augment_autocontrast.h"
#include "augment_sharpness.h"
#include "augment_values.h"
#include "cpu.h"
#include "philox.h"

namespace dssm {
namespace {

enum Operation { autocontrast, posterize, solarize, sharpness, brightness, color, kOperations };

constexpr int64_t kRanges[kOperations][2] = {{0, 1}, {4, 8}, {32, 224}, {26, 487}, {26, 487}, {26, 487}};
constexpr int64_t kPiece = 4096;  // pixels

struct Step {
  int operation, magnitude;
};

struct Image {
  const uint8_t* values;
  int64_t channels, height, width;
  int64_t channel, row, column;  // strides

  const uint8_t* at(int64_t c, int64_t y, int64_t x) const { return values + c * channel + y * row + x * column; }

  int64_t area() const { return height * width; }

  // Whether the values of a row lie side by side.
  bool dense() const { return column == 1; }

  // As one row, where each row follows the one before.
  Image flat() const {
    if (row != width * column) return *this;
    return {values, channels, 1, area(), channel, area() * column, column};
  }
};

using Stretches = std::array<Stretch, 3>;

Stretches stretches(const Image& image) {
  Stretches result;
  for (int64_t c = 0; c < image.channels; ++c) {
    Extremes extremes;
    for (int64_t y = 0; y < image.height; ++y) extremes.include(image.at(c, y, 0), image.width);
    result[c] = Stretch(extremes);
  }
  return result;
}

void deinterleave(const uint8_t* pixels, const To& to, int64_t count) {
  const auto [red, green, blue] = to;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    red[i] = pixels[3 * i];
    green[i] = pixels[3 * i + 1];
    blue[i] = pixels[3 * i + 2];
  }
}

void copy(const Image& image, const From& from, const To& to, int64_t count) {
  if (image.channels == 3 && image.channel == 1 && image.column == 3) return deinterleave(from[0], to, count);
  for (int64_t c = 0; c < image.channels; ++c) {
    if (image.dense()) {
      std::copy_n(from[c], count, to[c]);
    } else {
      for (int64_t i = 0; i < count; ++i) to[c][i] = from[c][i * image.column];
    }
  }
}

void apply(const Step& step, const Stretches& stretch, const From& from, const To& to, int64_t channels,
           int64_t count) {
  if (step.operation == color) return recolor(from, to, count, step.magnitude);
  for (int64_t c = 0; c < channels; ++c) {
    switch (step.operation) {
      case autocontrast:
        stretch[c](from[c], to[c], count);
        break;
      case posterize:
        keep_bits(from[c], to[c], count, step.magnitude);
        break;
      case solarize:
        invert_from(from[c], to[c], count, step.magnitude);
        break;
      case brightness:
        brighten(from[c], to[c], count, step.magnitude);
        break;
    }
  }
}

// Steps that look at one pixel alone, but for an autocontrast at their head; none of them is sharpness.
void map_image(const Image& whole, uint8_t* out, const Step* begin, const Step* end) {
  const Image image = whole.flat();
  Stretches stretch;
  if (begin != end && begin->operation == autocontrast) stretch = stretches(image);
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; x += kPiece) {
      const int64_t count = std::min(kPiece, image.width - x);
      From from{};
      To to{};
      for (int64_t c = 0; c < image.channels; ++c) {
        from[c] = image.at(c, y, x);
        to[c] = out + c * image.area() + y * image.width + x;
      }
      if (!image.dense() || begin == end) {
        copy(image, from, to, count);
        from = {to[0], to[1], to[2]};
      }
      for (const Step* step = begin; step != end; ++step) {
        apply(*step, stretch, from, to, image.channels, count);
        from = {to[0], to[1], to[2]};
      }
    }
  }
}

bool looks_around(const Step& step) { return step.operation == autocontrast || step.operation == sharpness; }

void augment_image(Image image, uint8_t* out, const std::vector<Step>& steps) {
  const Step *step = steps.data(), *const end = step + steps.size();
  do {
    const Step* next = step;
    // Looking around needs dense rows: other images are copied first.
    if (image.dense() && step != end) ++next;
    if (next != step && step->operation == sharpness) {
      for (int64_t c = 0; c < image.channels; ++c) {
        sharpen(image.at(c, 0, 0), image.row, out + c * image.area(), image.height, image.width, step->magnitude);
      }
    } else {
      next = std::find_if(next, end, looks_around);
      map_image(image, out, step, next);
    }
    image.values = out;
    image.channel = image.area();
    image.row = image.width;
    image.column = 1;
    step = next;
  } while (step != end);
}

std::vector<Step> draw(uint64_t seed, uint64_t index, int64_t count) {
  std::vector<Step> steps;
  std::array<int, kOperations> order;
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = 0; i < count; ++i) {
    const auto words = philox(seed, index, Stream::augment, static_cast<uint32_t>(i));
    std::swap(order[i], order[integer(words[0], i, kOperations)]);
    const auto [lo, hi] = kRanges[order[i]];
    steps.push_back({order[i], static_cast<int>(integer(words[1], lo, hi))});
  }
  return steps;
}

// Calls steps_of(sample) for what happens to each image.
template <typename StepsOf>
void augment_batch(const Array& batch, const Array& out, int threads, StepsOf steps_of) {
  if (batch.count() == 0) return;
  const auto [count, channels, height, width] = sizes<4>(batch);
  const auto& stride = batch.stride;
  parallel_for(count, threads, [&, channels = channels, height = height, width = width](int64_t sample) {
    std::vector<Step> steps = steps_of(sample);
    // One channel has no colour to change.
    if (channels == 1) {
      steps.erase(std::remove_if(steps.begin(), steps.end(), [](Step step) { return step.operation == color; }),
                  steps.end());
    }
    augment_image({batch.at<const uint8_t>(sample), channels, height, width, stride[1], stride[2], stride[3]},
                  out.at<uint8_t>(sample), steps);
  });
}

}  // namespace

void augment_cpu(const Array& image, const Array& index, const Array& out, uint64_t seed, int64_t count, int threads) {
  augment_batch(image, out, threads, [&](int64_t sample) { return draw(seed, *index.at<int64_t>(sample), count); });
}

void augment_operation_cpu(const Array& image, const Array& out, int operation, int magnitude, int threads) {
  augment_batch(image, out, threads, [&](int64_t) { return std::vector<Step>{{operation, magnitude}}; });
}

}  // namespace dssm
