// SPDX-License-Identifier: Apache-2.0
// Features of any strides as rows of lanes, the operand of the products in product.h, and back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "simd_matrix.h"

namespace dssm {

struct Axis {
  int64_t size, stride;
};

// What features of type T are computed in.
template <typename T>
using Real = std::conditional_t<std::is_same_v<T, double>, double, float>;

// A square of values: as many rows as a row has lanes.
template <typename T>
struct Tile {
  using V = Vector<Real<T>>;
  static constexpr int kSize = lanes<V>;

  V rows[kSize];

  // Row i is line i, of which there may be fewer and shorter ones; what they lack becomes zero.
  void load(const T* from, Axis lines, Axis line) {
    if (line.stride == 1 && line.size >= kSize && lines.size >= kSize) {
      for (int i = 0; i < kSize; ++i) rows[i] = load_row(from + i * lines.stride);
      return;
    }
    for (int i = 0; i < kSize; ++i) {
      T values[kSize] = {};
      if (i < lines.size) {
        for (int j = 0; j < std::min<int64_t>(kSize, line.size); ++j) {
          values[j] = from[i * lines.stride + j * line.stride];
        }
      }
      rows[i] = load_row(values);
    }
  }

  void store(T* to, Axis lines, Axis line) const {
    if (line.stride == 1 && line.size >= kSize && lines.size >= kSize) {
      for (int i = 0; i < kSize; ++i) store_row(to + i * lines.stride, rows[i]);
      return;
    }
    for (int i = 0; i < std::min<int64_t>(kSize, lines.size); ++i) {
      T values[kSize];
      store_row(values, rows[i]);
      for (int j = 0; j < std::min<int64_t>(kSize, line.size); ++j) {
        to[i * lines.stride + j * line.stride] = values[j];
      }
    }
  }

 private:
  static V load_row(const T* from) {
    if constexpr (std::is_same_v<T, double>) {
      return dssm::load<V>(from);
    } else {
      return load_floats(from);
    }
  }

  static void store_row(T* to, V value) {
    if constexpr (std::is_same_v<T, double>) {
      dssm::store(to, value);
    } else {
      store_floats(to, value);
    }
  }
};

// How an array (block, row, lane) is cut into tiles whose lines are contiguous in memory, if one of its axes is.
struct Tiling {
  bool transposed, by_block;  // whether lines hold rows or blocks, not lanes
  Axis across, lines, line;

  Tiling(Axis lane, Axis row, Axis block)
      : transposed(lane.stride != 1),
        by_block(transposed && block.stride == 1 && block.size > 1),
        across(by_block ? row : block),
        lines(transposed ? lane : row),
        line(by_block     ? block
             : transposed ? row
                          : lane) {}

  // visit(offset, lines, line, rows, lane, at): a tile of `rows` rows, which are those of (block, row) = at(0), at(1),
  // ... and lie in memory as `lines` or, transposed, across them.
  template <int Size, typename Visit>
  void for_tiles(Visit visit) const {
    for (int64_t i = 0; i < across.size; ++i) {
      for (int64_t j = 0; j < lines.size; j += Size) {
        for (int64_t k = 0; k < line.size; k += Size) {
          const Axis rest_lines{lines.size - j, lines.stride}, rest{line.size - k, line.stride};
          const int64_t first = transposed ? k : j;
          visit(i * across.stride + j * lines.stride + k * line.stride, rest_lines, rest,
                transposed ? rest.size : rest_lines.size, transposed ? j : k,
                [=](int l) { return by_block ? std::pair(first + l, i) : std::pair(i, first + l); });
        }
      }
    }
  }
};

// put(block, row, lane, vector) for all rows of an array: the lanes [lane, lane + kSize); those past the end are zero.
template <typename T, typename Put>
void gather(const T* from, Axis lane, Axis row, Axis block, Put put) {
  constexpr int kSize = Tile<T>::kSize;
  const Tiling tiling(lane, row, block);
  tiling.for_tiles<kSize>([&](int64_t offset, Axis lines, Axis line, int64_t rows, int64_t k, auto at) {
    Tile<T> tile;
    tile.load(from + offset, lines, line);
    if (tiling.transposed) transpose(tile.rows);
    const auto put_rows = [&](auto count) {
      for (int l = 0; l < count; ++l) {
        const auto [b, r] = at(l);
        put(b, r, k, tile.rows[l]);
      }
    };
    if (rows >= kSize) {
      put_rows(std::integral_constant<int, kSize>());  // unrolled, so that the tile stays in registers
    } else {
      put_rows(rows);
    }
  });
}

// The way back: get(block, row, lane) is the vector to be stored.
template <typename T, typename Get>
void scatter(T* to, Axis lane, Axis row, Axis block, Get get) {
  constexpr int kSize = Tile<T>::kSize;
  const Tiling tiling(lane, row, block);
  tiling.for_tiles<kSize>([&](int64_t offset, Axis lines, Axis line, int64_t rows, int64_t k, auto at) {
    Tile<T> tile{};
    for (int l = 0; l < std::min<int64_t>(kSize, rows); ++l) {
      const auto [b, r] = at(l);
      tile.rows[l] = get(b, r, k);
    }
    if (tiling.transposed) transpose(tile.rows);
    tile.store(to + offset, lines, line);
  });
}

}  // namespace dssm
