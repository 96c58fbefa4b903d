// SPDX-License-Identifier: Apache-2.0
// OpenCV's weight of a block's pixels for its cells: hat times Gaussian, separable.
#pragma once

#include <cmath>
#include <vector>

#include "hog.h"

namespace dssm {

// Along one axis a cell is number `cell` of a block, and its pixels vote for the block's cell `target`.
template <typename Real>
struct Role {
  int64_t cell, target;
  int64_t begin, end;         // of the pixels with a weight
  std::vector<Real> weights;  // of the cell's pixels
};

template <typename Real>
std::vector<Role<Real>> roles(int64_t cell_size, int64_t cells, double sigma) {
  std::vector<Role<Real>> result;
  for (int64_t cell = 0; cell < cells; ++cell) {
    // The hat reaches the next cell and no further.
    for (int64_t target = std::max<int64_t>(cell - 1, 0); target <= std::min(cell + 1, cells - 1); ++target) {
      Role<Real> role{cell, target, cell_size, 0, {}};
      for (int64_t i = 0; i < cell_size; ++i) {
        const int64_t x = cell * cell_size + i;
        const double hat = 1 - std::abs((x + 0.5) / cell_size - 0.5 - target);
        const double from_centre = x - cells * cell_size / 2.0;
        const double gauss = std::exp(-from_centre * from_centre / (2 * sigma * sigma));
        role.weights.push_back(static_cast<Real>(std::max(hat, 0.0) * gauss));
        if (role.weights.back() == 0) continue;
        role.begin = std::min(role.begin, i);
        role.end = i + 1;
      }
      result.push_back(role);
    }
  }
  return result;
}

template <typename Real>
struct Window {
  explicit Window(const HogSettings& settings) {
    const auto [height, width] = settings.block;
    const double sigma = (height * settings.cell[0] + width * settings.cell[1]) / 8.0;
    down = roles<Real>(settings.cell[0], height, sigma);
    across = roles<Real>(settings.cell[1], width, sigma);
  }

  std::vector<Role<Real>> down, across;
};

}  // namespace dssm
