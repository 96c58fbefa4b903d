// SPDX-License-Identifier: Apache-2.0
#include "hog.h"

#include "cpu.h"
#include "hog_image.h"
#include "hog_opencv.h"
#include "hog_skimage.h"

namespace dssm {

void hog_cpu(const Array& image, const Array& out, const HogSettings& settings, int threads) {
  visit<float, double>(out.type, [&](auto real) {
    using Real = typename decltype(real)::type;
    visit<uint8_t, float16, bfloat16, float, double>(image.type, [&](auto pixel) {
      using Pixel = typename decltype(pixel)::type;
      parallel_for(image.size[0], threads, [&](int64_t i) {
        const auto one = image_of<Pixel, Real>(image, i);
        if (settings.mode == HogMode::skimage) {
          hog_skimage(one, settings, out.at<Real>(i));
        } else {
          hog_opencv(one, settings, out.at<Real>(i));
        }
      });
    });
  });
}

}  // namespace dssm
