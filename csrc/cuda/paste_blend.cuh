// SPDX-License-Identifier: Apache-2.0
// A sample is copied, 16 bytes at a time where its layout allows, and then changed inside its mask.
#pragma once

#include "array.h"
#include "block.cuh"
#include "mix.h"
#include "paste_mask.cuh"

namespace dssm {

// Where a pixel of `bytes` bytes lies.
__device__ inline char* address(const Array& image, int bytes, int64_t b, int64_t c, int y, int x) {
  const auto& stride = image.stride;
  return image.as<char>() + bytes * (b * stride[0] + c * stride[1] + y * stride[2] + x * stride[3]);
}

// Whether rows of a sample are contiguous and begin where 16 bytes can be read at once.
__device__ inline bool has_wide_rows(const Array& image, int bytes, int64_t b) {
  const auto fits = [=](int64_t pixels) { return pixels * bytes % static_cast<int64_t>(sizeof(uint4)) == 0; };
  return image.stride[3] == 1 && fits(image.size[3]) && fits(image.stride[2]) && fits(image.stride[1]) &&
         reinterpret_cast<uintptr_t>(address(image, bytes, b, 0, 0, 0)) % sizeof(uint4) == 0;
}

// `Piece` is read and written at once: one pixel or several.
template <typename Piece>
__device__ void copy_pieces(const Array& image, const Array& out, int bytes, int64_t b) {
  constexpr int kAhead = 4;  // pieces that a thread reads before it writes: one would not keep the memory busy
  const int step = static_cast<int>(sizeof(Piece)) / bytes;  // pixels
  const int width = static_cast<int>(image.size[3]), count = static_cast<int>(image.size[2]) * width;
  for (int first = thread() * step; first < count; first += kAhead * threads() * step) {
    for (int64_t c = 0; c < image.size[1]; ++c) {
      Piece pieces[kAhead];
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        const int pixel = first + k * threads() * step;
        if (pixel >= count) break;
        pieces[k] = *reinterpret_cast<const Piece*>(address(image, bytes, b, c, pixel / width, pixel % width));
      }
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        const int pixel = first + k * threads() * step;
        if (pixel >= count) break;
        *reinterpret_cast<Piece*>(address(out, bytes, b, c, 0, pixel)) = pieces[k];
      }
    }
  }
}

// Pixels are no more than bytes here. `out` is contiguous.
__device__ inline void copy_image(const Array& image, const Array& out, int bytes, int64_t b) {
  if (has_wide_rows(image, bytes, b)) return copy_pieces<uint4>(image, out, bytes, b);
  switch (bytes) {
    case 1:
      return copy_pieces<uint8_t>(image, out, bytes, b);
    case 2:
      return copy_pieces<uint16_t>(image, out, bytes, b);
    case 4:
      return copy_pieces<uint32_t>(image, out, bytes, b);
    default:
      return copy_pieces<uint64_t>(image, out, bytes, b);
  }
}

// Shows `content(c, y, x)` through the pixels of the mask. Nothing else of image or content is read; a pixel is written
// by another thread than the one that copied it, so a barrier lies between.
template <typename Pixel, typename Content>
__device__ void blend(const Array& image, const Array& out, int64_t b, const BitMask& mask, const Mix<Pixel>& mix,
                      const Content& content) {
  for (int i = warp(); i < mask.size(); i += warps()) {
    const int y = i / mask.pitch(), x = i % mask.pitch() * 32 + lane();
    if (!(mask.words[i] >> lane() & 1)) continue;
    for (int64_t c = 0; c < image.size[1]; ++c) {
      const auto above = static_cast<Exact<Pixel>>(*image.at<const Pixel>(b, c, y, x));
      const auto below = static_cast<Exact<Pixel>>(content(c, y, x));
      *out.at<Pixel>(b, c, y, x) = static_cast<Pixel>(mix(above, below));
    }
  }
}

}  // namespace dssm
