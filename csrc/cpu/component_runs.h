// SPDX-License-Identifier: Apache-2.0
// The connected components of a mask as runs of set pixels, joined row by row.
#pragma once

#include <cstdint>
#include <vector>

namespace dssm {

class Runs {
 public:
  // Begins a mask of rows of `width` pixels, connectivity 4 or 8. Buffers are kept from one mask to the next.
  void start(int64_t width, int connectivity);

  // The next row: pixel x is bit x mod 64 of word x div 64; bits from `width` on are zero.
  void add_row(const uint64_t* bits);

  // The next row as bytes 0 and 1, `stride` apart.
  void add_row(const uint8_t* pixels, int64_t stride);

  // The component with most pixels, of equal ones the first in raster order. Returns its area.
  int64_t find_largest();

  // Pixels [begin, end) of row y.
  struct Span {
    int32_t y, begin, end;
  };

  // The runs of the largest component in raster order.
  const std::vector<Span>& largest() const { return largest_; }

  // body(span, area of its component) for all runs in raster order.
  template <typename Body>
  void for_spans(Body body) {
    find_areas();
    for (int32_t y = 0; y + 1 < static_cast<int32_t>(row_.size()); ++y) {
      for (int32_t run = row_[y]; run < row_[y + 1]; ++run) {
        body(Span{y, borders_[2 * run], borders_[2 * run + 1]}, area_[parent_[run]]);
      }
    }
  }

 private:
  int32_t root(int32_t run);
  void join(int32_t a, int32_t b);
  void find_areas();

  int64_t width_ = 0;
  int reach_ = 0;                 // diagonal neighbours touch across a gap of zero columns
  std::vector<uint64_t> words_;   // a row of bits
  std::vector<int32_t> row_;      // the first run of every row, and the number of runs
  std::vector<int32_t> borders_;  // run r is pixels [borders[2 r], borders[2 r + 1]) of its row
  std::vector<int32_t> parent_;   // an earlier run of the same component; the first one is its own
  std::vector<int64_t> area_;     // of the component of a root
  std::vector<Span> largest_;
};

}  // namespace dssm
