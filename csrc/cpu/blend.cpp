// SPDX-License-Identifier: Apache-2.0
// Equation 3, row by row: the source is read inside the mask only.
#include "blend.h"

#include "cpu.h"

namespace dssm {

namespace {

template <typename Pixel>
void blend(const Array& image, const Array& source, const Array& mask, const Array& alpha, const Array& out,
           int64_t b) {
  const auto [batch, channels, height, width] = sizes<4>(image);
  const Mix<Pixel> mix(alpha.as<double>()[b]);
  Pixel* to = out.as<Pixel>() + b * channels * height * width;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t y = 0; y < height; ++y) {
      const Pixel* from = image.at<Pixel>(b, c, y);
      const Pixel* other = source.at<Pixel>(b, c, y);
      const uint8_t* inside = mask.at<uint8_t>(b, y);
      for (int64_t x = 0; x < width; ++x) {
        const Pixel pixel = from[x * image.stride[3]];
        *to++ = inside[x * mask.stride[2]] ? mix(pixel, other[x * source.stride[3]]) : pixel;
      }
    }
  }
}

}  // namespace

void blend_cpu(const Array& image, const Array& source, const Array& mask, const Array& alpha, const Array& out,
               int threads) {
  visit<uint8_t, float, double>(image.type, [&](auto pixel) {
    using Pixel = typename decltype(pixel)::type;
    parallel_for(image.size[0], threads, [&](int64_t b) { blend<Pixel>(image, source, mask, alpha, out, b); });
  });
}

}  // namespace dssm
