// SPDX-License-Identifier: Apache-2.0
// HOG as scikit-image defines it: hard bins, cells averaged, blocks row by row.
#pragma once

#include <vector>

#include "hog.h"
#include "hog_image.h"
#include "hog_usual.h"

namespace dssm {

// The mean magnitude per bin of every cell: (cell row, cell column, orientation).
template <typename Real>
std::vector<Real> average_cells(const Image<Real>& image, const HogSettings& settings);

// Calls f(cell, block, length) for what is one piece both in the cells and in the blocks: a row of a block's cells.
template <typename Real, typename Function>
void for_each_run(const Image<Real>& image, const HogSettings& settings, Function f) {
  const auto [height, width] = settings.block;
  const int64_t n = settings.orientations, columns = image.width / settings.cell[1];
  const int64_t block_rows = image.height / settings.cell[0] - height + 1, block_columns = columns - width + 1;
  usually<2 * 9>(width * n, [&, height = height](auto length) {
    int64_t block = 0;
    for (int64_t row = 0; row < block_rows; ++row) {
      for (int64_t column = 0; column < block_columns; ++column) {
        for (int64_t y = row; y < row + height; ++y, block += length) f((y * columns + column) * n, block, length);
      }
    }
  });
}

template <typename Real>
void hog_skimage(const Image<Real>& image, const HogSettings& settings, Real* out);

}  // namespace dssm
