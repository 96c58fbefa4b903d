// SPDX-License-Identifier: Apache-2.0
// The matrix products of the masked convolution, on pixels as rows of channels. The innermost loops hold a block of
// sums, kTile x kWidth, in registers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "array.h"
#include "mscm_rows.h"
#include "mscm_taps.h"
#include "simd.h"

namespace dssm::mscm {

constexpr int kColumns = kRegisters == 32 ? 4 : 2;  // 24 of 32 registers hold sums, or 12 of 16
constexpr int kWidth = kColumns * kLanes;

// Four matrices (out, in) as panels of kWidth columns, in the order in which the product reads them.
class Panels {
 public:
  // `weight` is (4 or 1, Cout, C). For the way back, matrix t is the transposed one of tap 3 - t.
  Panels(const Array& weight, bool back);

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  int64_t blocks() const { return (out_ + kWidth - 1) / kWidth; }
  const float* at(int64_t block, int tap, int64_t channel) const {
    return panels_.data() + ((block * kTaps + tap) * in_ + channel) * kWidth;
  }

  // Taps and channels whose panel stays in the first-level cache while the pixels of a strip pass.
  struct Part {
    int first_tap, taps;
    int64_t first_channel, channels;
  };
  std::vector<Part> parts() const;
  int taps_at_once() const;

 private:
  int64_t in_, out_;
  Buffer panels_;
};

// Pixels whose channels take 256 KB, half of a second-level cache; fewer would not be worth a pass over the panels.
inline int64_t strip_pixels(int64_t channels) {
  return std::clamp<int64_t>(65536 / std::max<int64_t>(channels, 1), 64, 1024);
}

// sums[i * kWidth + j] = row[j]
inline void fill(float* sums, int64_t rows, const float* row) {
  Floats values[kColumns];
  for (int v = 0; v < kColumns; ++v) values[v] = load<Floats>(row + v * kLanes);
  for (int64_t i = 0; i < rows; ++i, sums += kWidth) {
    for (int v = 0; v < kColumns; ++v) store(sums + v * kLanes, values[v]);
  }
}

// sums[i * kWidth + j] += sum_t sum_c from(pixel i + shift t, c) * panel(block, t, c, j) over the pixels i of a strip.
// `from` are the pixels of the grid; `zeros` are as many as there are channels; `sums` has one row too many.
void convolve(const Grid& grid, const Strip& strip, Rows from, const Panels& panels, int64_t block, const float* zeros,
              float* sums);

// The weight gradient of one panel of kWidth input channels: for every tap t and output channel o
// sums[(t * outs + o) * kWidth + j] += sum_i grad(pixel i, o) * from(pixel i + shift t, channel + j) over a strip.
// outs is a multiple of kTile, and so many channels of `grad` are read; `panel` is room for the pixels that are seen.
void correlate(const Grid& grid, const Strip& strip, Rows grad, int64_t outs, Rows from, int64_t channel,
               int64_t channels, Buffer& panel, float* sums);

}  // namespace dssm::mscm
