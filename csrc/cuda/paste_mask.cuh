// SPDX-License-Identifier: Apache-2.0
// A mask in shared memory, a bit per pixel.
#pragma once

#include "block.cuh"
#include "paste_rectangle.h"

namespace dssm {

// Pixel x of row y is bit x % 32 of words[y * pitch + x / 32]; bits behind a row are zero.
struct BitMask {
  uint32_t* words;
  int height, width;

  DSSM_HOST_DEVICE int pitch() const { return (width + 31) / 32; }
  DSSM_HOST_DEVICE int size() const { return height * pitch(); }

  // The bits of `count` pixels of row y from x on, all of one word.
  __device__ uint32_t bits(int y, int x, int count) const {
    return words[y * pitch() + x / 32] >> x % 32 & ((1u << count) - 1);
  }
};

// Sets the pixels of a rectangle, and no others.
__device__ inline void draw(const BitMask& mask, const Rectangle& rectangle) {
  for_each(mask.size(), [&](int i) {
    const int first = i % mask.pitch() * 32;
    const Interval covered = rectangle.row(i / mask.pitch());
    const auto below = [&](int64_t x) {  // the bits of the pixels before x
      const int64_t count = std::clamp<int64_t>(x - first, 0, 32);
      return static_cast<uint32_t>((uint64_t{1} << count) - 1);
    };
    mask.words[i] = below(covered.end) & ~below(covered.begin);
  });
}

// Writes a mask as bytes 0 and 1.
__device__ inline void store(const BitMask& mask, uint8_t* out) {
  constexpr int kPixels = 16;
  if (mask.width % kPixels) {
    for_each(mask.height * mask.width, [&](int i) { out[i] = mask.bits(i / mask.width, i % mask.width, 1); });
    return;
  }
  // Four bits are four bytes: the factor copies bit k to bit 8 k.
  const auto spread = [](uint32_t bits) { return (bits & 15) * 0x00204081 & 0x01010101; };
  for_each(mask.height * mask.width / kPixels, [&](int i) {
    const int pixel = i * kPixels;
    const uint32_t bits = mask.bits(pixel / mask.width, pixel % mask.width, kPixels);
    reinterpret_cast<uint4*>(out)[i] = {spread(bits), spread(bits >> 4), spread(bits >> 8), spread(bits >> 12)};
  });
}

}  // namespace dssm
