// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "array.h"
#include "simd.h"

namespace dssm {

struct PerlinSettings {
  std::array<int64_t, 2> size;  // height, width
  uint64_t seed;
  std::array<int64_t, 2> resolution;  // exponents, [first, last)
  bool rotate;
};

// One plane of Perlin noise, a row at a time; see dssm/reference/perlin.py.
class Perlin {
 public:
  // Goes to the plane of a sample number.
  void place(uint64_t index, const PerlinSettings& settings);

  // Row y of the plane; up to kLanes values behind the `width` asked for are overwritten.
  void row(int64_t y, float* out) const { gradients_[0].empty() ? hashed_row(y, out) : tabulated_row(y, out); }

 private:
  // Pixel (y, x) lies at origin + y * per_y + x * per_x, in 2^-32 cells.
  struct Axis {
    int64_t origin, per_y, per_x;

    int64_t operator()(int64_t y, int64_t x) const { return origin + y * per_y + x * per_x; }
  };

  // A row of pixels on its way through the cells of one axis.
  struct Walk;

  void tabulate();
  void tabulated_row(int64_t y, float* out) const;
  void hashed_row(int64_t y, float* out) const;

  uint64_t index_, seed_;
  int64_t height_, width_;
  std::array<Axis, 2> axes_;                     // rows and columns of the lattice
  std::array<int64_t, 2> first_;                 // the node that the tables begin with
  int64_t pitch_;                                // nodes per row of the tables
  std::array<std::vector<float>, 2> gradients_;  // the components of every node's gradient, times sqrt(2)
};

// A plane of `out` (batch, height, width), contiguous, for every sample number of `index`.
void perlin_cpu(const Array& index, const Array& out, uint64_t seed, const std::array<int64_t, 2>& resolution,
                bool rotate, int threads);

}  // namespace dssm
