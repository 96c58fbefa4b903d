// SPDX-License-Identifier: Apache-2.0
// Equation 3, row by row: the source is read inside the mask only.
#include "blend.h"

#include "cpu.h"

namespace dssm {

template <typename Pixel>
void blend_cpu(const Pixel* image, const Pixel* source, const uint8_t* mask, const double* alpha, Pixel* out,
               const std::array<int64_t, 4>& size, const std::array<int64_t, 4>& image_stride,
               const std::array<int64_t, 4>& source_stride, const std::array<int64_t, 3>& mask_stride, int threads) {
  const auto [batch, channels, height, width] = size;
  parallel_for(batch, threads, [&, channels = channels, height = height, width = width](int64_t b) {
    const Mix<Pixel> mix(alpha[b]);
    Pixel* to = out + b * channels * height * width;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t y = 0; y < height; ++y) {
        const Pixel* from = image + b * image_stride[0] + c * image_stride[1] + y * image_stride[2];
        const Pixel* other = source + b * source_stride[0] + c * source_stride[1] + y * source_stride[2];
        const uint8_t* inside = mask + b * mask_stride[0] + y * mask_stride[1];
        for (int64_t x = 0; x < width; ++x) {
          const Pixel pixel = from[x * image_stride[3]];
          *to++ = inside[x * mask_stride[2]] ? mix(pixel, other[x * source_stride[3]]) : pixel;
        }
      }
    }
  });
}

#define INSTANTIATE(Pixel)                                                                                             \
  template void blend_cpu(const Pixel*, const Pixel*, const uint8_t*, const double*, Pixel*,                           \
                          const std::array<int64_t, 4>&, const std::array<int64_t, 4>&, const std::array<int64_t, 4>&, \
                          const std::array<int64_t, 3>&, int);
INSTANTIATE(uint8_t)
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace dssm
