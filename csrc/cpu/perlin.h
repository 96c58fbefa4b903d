// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "array.h"
#include "perlin_lattice.h"
#include "simd.h"

namespace dssm {

struct PerlinSettings {
  std::array<int64_t, 2> size;  // height, width
  uint64_t seed;
  std::array<int64_t, 2> resolution;  // exponents, [first, last)
  bool rotate;
};

// One plane of Perlin noise, a row at a time; see dssm/reference/perlin.py. Buffers are kept from plane to plane.
class Perlin {
 public:
  // Goes to the plane of a sample number.
  void place(uint64_t index, const PerlinSettings& settings);

  // Row y of the plane; up to kLanes values behind it are overwritten.
  void row(int64_t y, float* out) const { cells_.empty() ? hashed_row(y, out) : tabulated_row(y, out); }

 private:
  // At s, t from the middle of a cell, with the quintic fades f(s) and f(t) less 1/2, its noise is
  // a + f(t) b + f(s) (c + f(t) d), where (a, b, c, d) = middle + s row + t column.
  struct Cell {
    using Terms = Vector<float, 4>;

    Terms middle, row, column;
    Terms growth;  // from pixel to pixel along a row

    Cell() = default;
    // The gradients of the upper left, upper right, lower left and lower right corner; the steps of s and t.
    Cell(Terms rows, Terms columns, float step_s, float step_t);
  };

  struct Walk;

  void tabulate();
  void fill(const Cell& cell, float s, float t, int64_t pixels, float* out) const;
  void tabulated_row(int64_t y, float* out) const;
  void hashed_row(int64_t y, float* out) const;

  uint64_t index_, seed_;
  int64_t height_, width_;
  Lattice lattice_;
  std::array<std::vector<float>, 2> offsets_;  // x * per_x, in stretched cells
  int64_t pitch_;                              // cells per row of the table
  std::vector<Cell> cells_;
  std::vector<float> numbers_;                   // 0, 1, 2, ...
  std::array<std::vector<float>, 2> gradients_;  // of the nodes, while the table is made
};

// A plane of `out` (batch, height, width), contiguous, for every sample number of `index`.
void perlin_cpu(const Array& index, const Array& out, uint64_t seed, const std::array<int64_t, 2>& resolution,
                bool rotate, int threads);

}  // namespace dssm
