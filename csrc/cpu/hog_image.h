// SPDX-License-Identifier: Apache-2.0
// An image of any element type and strides, read a row at a time as the numbers that HOG computes with.
#pragma once

#include <algorithm>
#include <vector>

#include "array.h"
#include "hog.h"
#include "simd_words.h"

namespace dssm {

struct Columns {
  int64_t begin, end;

  int64_t count() const { return end - begin; }
};

// Calls f(Columns) for parts of an image, whole cells, that are small enough for what is made of them to stay in cache.
template <typename Function>
void for_each_tile(int64_t width, int64_t cell_width, int64_t most, Function f) {
  const int64_t step = std::max<int64_t>(most / cell_width, 1) * cell_width, end = width / cell_width * cell_width;
  for (int64_t x = 0; x < end; x += step) f(Columns{x, std::min(x + step, end)});
}

// `Real` is float or double.
template <typename Real>
struct Image {
  const void* data;
  int64_t channels, height, width;
  int64_t channel_stride, row_stride, column_stride;  // in elements
  // Some columns of row y of every channel; channel c begins at out + c * pitch.
  void (*read)(const Image&, int64_t y, Columns, Real* out, int64_t pitch);
};

template <typename Pixel, typename Real>
void widen(const Pixel* from, int64_t count, Real* to) {
  if constexpr (std::is_same_v<Real, float>) {
    int64_t x = 0;
    for (; x + kLanes <= count; x += kLanes) store(to + x, load_floats(from + x));
    if (x < count) store(to + x, load_floats(from + x, count - x), count - x);
  } else {
    for (int64_t x = 0; x < count; ++x) to[x] = from[x];
  }
}

// A constant stride lets the compiler pick elements with shuffles.
template <int64_t Stride, typename Pixel>
void pick(const Pixel* from, Pixel* to, int64_t count) {
  for (int64_t x = 0; x < count; ++x) to[x] = from[x * Stride];
}

template <typename Pixel, typename Real>
void widen(const Pixel* from, int64_t stride, int64_t count, Real* to) {
  constexpr int64_t kChunk = 64;
  if (stride == 1) return widen(from, count, to);
  Pixel chunk[kChunk];
  for (int64_t x = 0; x < count; x += kChunk, from += kChunk * stride) {
    const int64_t length = std::min(kChunk, count - x);
    if (stride == 3 && length == kChunk) {
      pick<3>(from, chunk, kChunk);
    } else {
      for (int64_t i = 0; i < length; ++i) chunk[i] = from[i * stride];
    }
    widen(chunk, length, to + x);
  }
}

template <typename Pixel, typename Real>
void read_row(const Image<Real>& image, int64_t y, Columns columns, Real* out, int64_t pitch) {
  const Pixel* row = static_cast<const Pixel*>(image.data) + y * image.row_stride + columns.begin * image.column_stride;
  for (int64_t c = 0; c < image.channels; ++c, row += image.channel_stride) {
    // A tile's rows are too short for the processor to see a pattern in them.
    const Pixel* ahead = row + 4 * image.row_stride;
    for (int64_t x = 0; x < columns.count(); x += 64 / sizeof(Pixel))
      __builtin_prefetch(ahead + x * image.column_stride);
    widen(row, image.column_stride, columns.count(), out + c * pitch);
  }
}

// Image i of a batch (batch, channels, height, width).
template <typename Pixel, typename Real>
Image<Real> image_of(const Array& batch, int64_t i) {
  return {batch.at<const Pixel>(i), batch.size[1],   batch.size[2],   batch.size[3],
          batch.stride[1],          batch.stride[2], batch.stride[3], read_row<Pixel, Real>};
}

// Calls f(Tag<Pixel>()) for the element type of images that are computed with in Real.
template <typename Real, typename Function>
void visit_pixels(Type type, Function f) {
  if constexpr (std::is_same_v<Real, float>) {
    visit<uint8_t, float16, bfloat16, float>(type, f);
  } else {
    visit<uint8_t, double>(type, f);
  }
}

// The number of blocks of an image, and the length of one.
template <typename Real>
std::pair<int64_t, int64_t> blocks_of(const Image<Real>& image, const HogSettings& settings) {
  const int64_t rows = image.height / settings.cell[0] - settings.block[0] + 1;
  const int64_t columns = image.width / settings.cell[1] - settings.block[1] + 1;
  return {rows * columns, settings.block[0] * settings.block[1] * settings.orientations};
}

// Elements of a row of `width` with room for the vectors that reach over its end.
template <typename Real>
int64_t padded(int64_t width) {
  constexpr int64_t kCount = lanes<Vector<Real>>;
  return (width + kCount - 1) / kCount * kCount;
}

}  // namespace dssm
