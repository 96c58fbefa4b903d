// SPDX-License-Identifier: Apache-2.0
#include "mscm_taps.h"

#include <algorithm>

namespace dssm::mscm {

namespace {

// Bit t: tap t of this pixel lies inside the map.
unsigned taps_of(const Grid& grid, int64_t pixel) {
  const int64_t y = pixel / grid.width % grid.height, x = pixel % grid.width;
  const unsigned rows = (y >= grid.dilation ? 0b0011 : 0) | (y + grid.dilation < grid.height ? 0b1100 : 0);
  const unsigned columns = (x >= grid.dilation ? 0b0101 : 0) | (x + grid.dilation < grid.width ? 0b1010 : 0);
  return rows & columns;
}

// The pixels that see any of the taps in `wanted`. Those that see the same ones come together: a tile is spared the
// taps that none of its pixels sees, and this leaves few tiles whose pixels differ.
std::vector<Tile> tiles_of(const std::vector<uint8_t>& seen, const Strip& strip, unsigned wanted) {
  std::array<std::vector<int32_t>, 1 << kTaps> alike;
  for (int64_t i = 0; i < strip.count(); ++i) alike[seen[i] & wanted].push_back(static_cast<int32_t>(i));
  std::vector<Tile> tiles;
  int used = kTile;
  for (unsigned taps = 1; taps < alike.size(); ++taps) {
    for (const int32_t pixel : alike[taps]) {
      if (used == kTile) {
        tiles.emplace_back().pixel.fill(static_cast<int32_t>(strip.count()));
        used = 0;
      }
      tiles.back().pixel[used] = pixel;
      for (int t = 0; t < kTaps; ++t) tiles.back().inside[t] |= (taps >> t & 1) << used;
      ++used;
    }
  }
  return tiles;
}

std::vector<Run> runs_of(const std::vector<uint8_t>& seen, const Strip& strip, int tap) {
  std::vector<Run> runs;
  for (int64_t i = 0; i < strip.count(); ++i) {
    if (!(seen[i] >> tap & 1)) continue;
    const int64_t pixel = strip.first + i;
    if (!runs.empty() && runs.back().first + runs.back().count == pixel) {
      ++runs.back().count;
    } else {
      runs.push_back({pixel, 1});
    }
  }
  return runs;
}

Plan plan_of(Grid grid, int64_t images, int64_t length, int taps) {
  grid.images = images;
  Plan plan{grid, {}};
  for (int64_t first = 0; first < grid.pixels(); first += length) {
    Strip strip{first, std::min(grid.pixels(), first + length), {}, {}};
    std::vector<uint8_t> seen(strip.count());
    for (int64_t i = 0; i < strip.count(); ++i) seen[i] = static_cast<uint8_t>(taps_of(grid, first + i));
    for (int t = 0; t < kTaps; t += taps) strip.tiles.push_back(tiles_of(seen, strip, ((1u << taps) - 1) << t));
    for (int t = 0; t < kTaps; ++t) strip.visible[t] = runs_of(seen, strip, t);
    plan.strips.push_back(std::move(strip));
  }
  return plan;
}

}  // namespace

Groups::Groups(Grid whole, int64_t pixels, int taps) {
  whole.dilation = std::min(whole.dilation, std::max(whole.height, whole.width));  // further out is as much outside
  images_ = std::clamp<int64_t>(pixels / (whole.height * whole.width), 1, whole.images);
  count_ = (whole.images + images_ - 1) / images_;
  const int64_t rest = whole.images - (count_ - 1) * images_;
  if (count_ > 1) full_ = plan_of(whole, images_, pixels, taps);
  last_ = plan_of(whole, rest, pixels, taps);
}

}  // namespace dssm::mscm
