// SPDX-License-Identifier: Apache-2.0
// The connected components of a mask as runs of set pixels, joined row by row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dssm {

class Runs {
 public:
  // Begins a mask of rows of `width` pixels, connectivity 4 or 8. Buffers are kept from one mask to the next.
  void start(int64_t width, int connectivity);

  // The next row: pixel x is bit x mod 64 of word x div 64; bits from `width` on are zero.
  void add_row(const uint64_t* bits);

  // Picks the component with most pixels, of equal ones the first in raster order; returns its area.
  int64_t find_largest();

  // Calls body(y, begin, end) for every run of the component picked, in raster order.
  template <typename Body>
  void for_each(Body body) const {
    for (std::size_t y = 0; y + 1 < row_.size(); ++y) {
      for (int32_t run = row_[y]; run < row_[y + 1]; ++run) {
        if (parent_[run] == largest_) body(static_cast<int64_t>(y), borders_[2 * run], borders_[2 * run + 1]);
      }
    }
  }

 private:
  int32_t root(int32_t run);
  void join(int32_t a, int32_t b);

  int64_t width_ = 0;
  int reach_ = 0;                 // diagonal neighbours touch across a gap of zero columns
  int32_t largest_ = -1;          // the root of the component picked
  std::vector<int32_t> row_;      // the first run of every row, and the number of runs
  std::vector<int32_t> borders_;  // run r is pixels [borders[2 r], borders[2 r + 1]) of its row
  std::vector<int32_t> parent_;   // an earlier run of the same component; the first one is its own
  std::vector<int64_t> area_;
};

}  // namespace dssm
