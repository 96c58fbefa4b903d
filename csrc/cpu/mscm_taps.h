// SPDX-License-Identifier: Apache-2.0
// Which pixels see which of their four diagonal neighbours, and how pixels are put together to be worked on at once.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace dssm::mscm {

constexpr int kTaps = 4;  // up-left, up-right, down-left, down-right; tap 3 - t looks where tap t comes from

// Some images of a batch; pixels are counted through all of them.
struct Grid {
  int64_t images, height, width, dilation;

  int64_t pixels() const { return images * height * width; }

  // From a pixel to the neighbour that it sees.
  int64_t shift(int tap) const { return (tap & 2 ? dilation : -dilation) * width + (tap & 1 ? dilation : -dilation); }
};

// Pixels side by side, and their neighbours, which lie side by side too.
struct Run {
  int64_t first, count;
};

// Six pixels, in ascending order of no matter what but seeing about the same taps.
constexpr int kTile = 6;

struct Tile {
  std::array<int32_t, kTile> pixel;     // one past the last pixel of the strip where there are not six
  std::array<uint8_t, kTaps> inside{};  // bit i of inside[t]: tap t of pixel i lies in the map; others see zeros
};

// A stretch of pixels that stays in the cache.
struct Strip {
  int64_t first, last;
  std::vector<std::vector<Tile>> tiles;         // for each set of taps that are worked on together
  std::array<std::vector<Run>, kTaps> visible;  // for each tap, the pixels that see something there

  int64_t count() const { return last - first; }
};

struct Plan {
  Grid grid;
  std::vector<Strip> strips;
};

// A batch in groups of images that are worked on one after the other by a thread.
class Groups {
 public:
  // The images of `whole` in groups of about `pixels` pixels, in strips of no more than that many, with the taps
  // in sets of `taps` consecutive ones.
  Groups(Grid whole, int64_t pixels, int taps);

  int64_t count() const { return count_; }
  int64_t first_image(int64_t group) const { return group * images_; }
  const Plan& plan(int64_t group) const { return group + 1 < count_ ? full_ : last_; }

 private:
  int64_t images_, count_;
  Plan full_, last_;
};

}  // namespace dssm::mscm
