// SPDX-License-Identifier: Apache-2.0
// Matrices of any type and strides as rows of float, and back: the products want the channels of a pixel side by side.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "array.h"
#include "simd_matrix.h"
#include "workspace.h"

namespace dssm::mscm {

constexpr int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// A workspace that can grow; nothing is in it at first, and what was there is lost when it grows.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t count) { reserve(count); }

  float* reserve(int64_t count) {
    if (count > count_) {
      space_.reset();
      space_ = std::make_unique<Workspace>(count);
      count_ = count;
    }
    return data();
  }
  float* data() const { return space_ ? space_->data() : nullptr; }
  float* clear() const {
    std::fill_n(data(), count_, 0.0f);
    return data();
  }

 private:
  std::unique_ptr<Workspace> space_;
  int64_t count_ = 0;
};

// A matrix of T somewhere in memory.
template <typename T>
struct Matrix {
  T* data;
  int64_t rows, columns;
  int64_t row_stride, column_stride;
};

// to[column] = from[column]; columns up to a multiple of a vector's lanes become zero.
template <typename T>
void to_row(const T* from, int64_t columns, float* to) {
  for (int64_t column = 0; column < columns; column += kLanes) {
    store(to + column, load_floats(from + column, columns - column));
  }
}

// The same for as many rows, at most, as a vector has lanes.
template <typename T>
void to_few_rows(Matrix<T> matrix, float* to, int64_t pitch) {
  for (int64_t column = 0; column < matrix.columns; column += kLanes) {
    Floats block[kLanes] = {};
    for (int64_t j = 0; j < std::min<int64_t>(kLanes, matrix.columns - column); ++j) {
      const T* from = matrix.data + (column + j) * matrix.column_stride;
      if (matrix.row_stride == 1) {
        __builtin_prefetch(from + 64 / sizeof(T));
        block[j] = load_floats(from, matrix.rows);
      } else {
        for (int64_t i = 0; i < matrix.rows; ++i) block[j][i] = from[i * matrix.row_stride];
      }
    }
    transpose(block);
    for (int64_t i = 0; i < matrix.rows; ++i) store(to + i * pitch + column, block[i]);
  }
}

// to[row * pitch + column] = matrix(row, column), columns rounded up as above.
template <typename T>
void to_rows(Matrix<T> matrix, float* to, int64_t pitch) {
  auto [data, rows, columns, row_stride, column_stride] = matrix;
  const int64_t step = column_stride == 1 || columns == 1 ? 1 : kLanes;
  for (int64_t row = 0; row < rows; row += step, data += step * row_stride, to += step * pitch) {
    if (step == 1) {
      to_row(data, columns, to);
    } else {
      to_few_rows<T>({data, std::min<int64_t>(step, rows - row), columns, row_stride, column_stride}, to, pitch);
    }
  }
}

// matrix(row, column) = from[row * pitch + column]; rows or columns of the matrix lie side by side.
template <typename T>
void from_rows(const float* from, int64_t pitch, Matrix<T> matrix) {
  const auto [data, rows, columns, row_stride, column_stride] = matrix;
  for (int64_t column = 0; column < columns; column += kLanes) {
    const int64_t width = std::min<int64_t>(kLanes, columns - column);
    if (column_stride == 1) {
      for (int64_t row = 0; row < rows; ++row) {
        store_floats(data + row * row_stride + column, load<Floats>(from + row * pitch + column), width);
      }
      continue;
    }
    for (int64_t row = 0; row < rows; row += kLanes) {
      const int64_t count = std::min<int64_t>(kLanes, rows - row);
      Floats block[kLanes] = {};
      for (int64_t i = 0; i < count; ++i) block[i] = load<Floats>(from + (row + i) * pitch + column);
      transpose(block);
      for (int64_t j = 0; j < width; ++j) store_floats(data + row + (column + j) * column_stride, block[j], count);
    }
  }
}

// The channels of pixel i begin at data + i * pitch.
struct Rows {
  const float* data;
  int64_t pitch;
};

// `images` images of a map (batch, channels, height, width): where they lie, if as rows of float, else copied into
// `buffer` with this pitch, a multiple of a vector's lanes.
Rows rows_of(const Array& map, int64_t first, int64_t images, Buffer& buffer, int64_t pitch);

// A result of a convolution: contiguous, or channels_last.
template <typename T>
struct Map {
  T* data;
  int64_t channels, pixels;  // of an image
  bool channels_last;

  explicit Map(const Array& array)
      : data(array.as<T>()),
        channels(array.size[1]),
        pixels(array.size[2] * array.size[3]),
        channels_last(array.stride[1] == 1) {}

  T* at(int64_t image) const { return data + image * channels * pixels; }

  Matrix<T> part(int64_t image, int64_t pixel, int64_t count, int64_t channel, int64_t width) const {
    T* corner = at(image);
    if (channels_last) return {corner + pixel * channels + channel, count, width, channels, 1};
    return {corner + channel * pixels + pixel, count, width, 1, pixels};
  }
};

}  // namespace dssm::mscm
