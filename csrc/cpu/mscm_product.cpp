// SPDX-License-Identifier: Apache-2.0
#include "mscm_product.h"

#include <algorithm>

namespace dssm::mscm {

namespace {

constexpr int64_t kPanelRows = 16384 / (kWidth * sizeof(float));  // half of a first-level cache

using Sums = Floats[kTile][kColumns];

// sums(i, j) += value(i) * row(j)
template <typename Value>
inline __attribute__((always_inline)) void add_product(Sums& sums, Value value, const float* row) {
  Floats columns[kColumns];
#pragma GCC unroll 4
  for (int v = 0; v < kColumns; ++v) columns[v] = load<Floats>(row + v * kLanes);
#pragma GCC unroll 6
  for (int i = 0; i < kTile; ++i) {
    const Floats factor = splat<Floats>(value(i));
#pragma GCC unroll 4
    for (int v = 0; v < kColumns; ++v) sums[i][v] = fma(factor, columns[v], sums[i][v]);
  }
}

void add_tile(const Grid& grid, const Tile& tile, const Panels::Part& part, Rows from, const Panels& panels,
              int64_t block, const float* zeros, int64_t first, float* to) {
  Sums sums;
  for (int i = 0; i < kTile; ++i) {
    for (int v = 0; v < kColumns; ++v) sums[i][v] = load<Floats>(to + tile.pixel[i] * kWidth + v * kLanes);
  }
  for (int t = part.first_tap; t < part.first_tap + part.taps; ++t) {
    if (!tile.inside[t]) continue;
    const float* pixel[kTile];
    for (int i = 0; i < kTile; ++i) {
      const int64_t neighbour = first + tile.pixel[i] + grid.shift(t);
      pixel[i] = tile.inside[t] >> i & 1 ? from.data + neighbour * from.pitch + part.first_channel : zeros;
    }
    const float* row = panels.at(block, t, part.first_channel);
    for (int64_t c = 0; c < part.channels; ++c, row += kWidth) {
      add_product(sums, [&](int i) { return pixel[i][c]; }, row);
    }
  }
  for (int i = 0; i < kTile; ++i) {
    for (int v = 0; v < kColumns; ++v) store(to + tile.pixel[i] * kWidth + v * kLanes, sums[i][v]);
  }
}

}  // namespace

Panels::Panels(const Array& weight, bool back)
    : in_(weight.size[back ? 1 : 2]), out_(weight.size[back ? 2 : 1]), panels_(blocks() * kTaps * in_ * kWidth) {
  const int64_t in_stride = weight.stride[back ? 1 : 2], out_stride = weight.stride[back ? 2 : 1];
  visit<float, bfloat16, float16>(weight.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t block = 0; block < blocks(); ++block) {
      const int64_t first = block * kWidth, count = std::min<int64_t>(kWidth, out_ - first);
      for (int t = 0; t < kTaps; ++t) {
        const int64_t window = weight.size[0] == 1 ? 0 : back ? kTaps - 1 - t : t;
        float* panel = panels_.data() + (block * kTaps + t) * in_ * kWidth;
        if (count < kWidth) std::fill_n(panel, in_ * kWidth, 0.0f);
        to_rows<T>({weight.at<T>(window) + first * out_stride, in_, count, in_stride, out_stride}, panel, kWidth);
      }
    }
  });
}

int Panels::taps_at_once() const { return 4 * in_ <= kPanelRows ? 4 : 2 * in_ <= kPanelRows ? 2 : 1; }

std::vector<Panels::Part> Panels::parts() const {
  std::vector<Part> parts;
  const int taps = taps_at_once();
  const int64_t pieces = std::max<int64_t>(1, (in_ + kPanelRows - 1) / kPanelRows);
  for (int t = 0; t < kTaps; t += taps) {
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const int64_t first = in_ * piece / pieces;
      parts.push_back({t, taps, first, in_ * (piece + 1) / pieces - first});
    }
  }
  return parts;
}

void convolve(const Grid& grid, const Strip& strip, Rows from, const Panels& panels, int64_t block, const float* zeros,
              float* sums) {
  for (const Panels::Part& part : panels.parts()) {
    for (const Tile& tile : strip.tiles[part.first_tap / part.taps]) {
      add_tile(grid, tile, part, from, panels, block, zeros, strip.first, sums);
    }
  }
}

void correlate(const Grid& grid, const Strip& strip, Rows grad, int64_t outs, Rows from, int64_t channel,
               int64_t channels, Buffer& panel, float* sums) {
  const int64_t reach = grid.shift(kTaps - 1);
  const int64_t first = std::max<int64_t>(0, strip.first - reach);
  const int64_t last = std::min(grid.pixels(), strip.last + reach);
  panel.reserve((last - first) * kWidth);
  if (channels < kWidth) panel.clear();
  to_rows<const float>({from.data + first * from.pitch + channel, last - first, channels, from.pitch, 1}, panel.data(),
                       kWidth);
  for (int t = 0; t < kTaps; ++t) {
    for (int64_t out = 0; out < outs; out += kTile, sums += kTile * kWidth) {
      Sums block = {};  // added to the total at the end: fewer digits are lost than in one long sum
      for (const Run& run : strip.visible[t]) {
        const float* value = grad.data + run.first * grad.pitch + out;
        const float* row = panel.data() + (run.first + grid.shift(t) - first) * kWidth;
        for (int64_t i = 0; i < run.count; ++i, value += grad.pitch, row += kWidth) {
          add_product(block, [&](int o) { return value[o]; }, row);
        }
      }
      for (int i = 0; i < kTile; ++i) {
        for (int v = 0; v < kColumns; ++v) {
          float* to = sums + i * kWidth + v * kLanes;
          store(to, load<Floats>(to) + block[i][v]);
        }
      }
    }
  }
}

}  // namespace dssm::mscm
