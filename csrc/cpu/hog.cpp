// SPDX-License-Identifier: Apache-2.0
#include "hog.h"

#include <optional>

#include "cpu.h"
#include "hog_image.h"
#include "hog_opencv.h"
#include "hog_resize.h"
#include "hog_skimage.h"

namespace dssm {

void hog_cpu(const Array& image, const Array& out, const HogSettings& settings, std::array<int64_t, 2> size,
             int threads) {
  visit<float, double>(out.type, [&](auto real) {
    using Real = typename decltype(real)::type;
    const auto compute = settings.mode == HogMode::skimage ? hog_skimage<Real> : hog_opencv<Real>;
    std::optional<Resize<Real>> resize;
    if (size[0] > 0) resize.emplace(image.size[2], image.size[3], size[0], size[1]);
    visit_pixels<Real>(image.type, [&](auto pixel) {
      using Pixel = typename decltype(pixel)::type;
      parallel_for(image.size[0], threads, [&](int64_t i) {
        std::vector<Real> pixels;
        const auto one = image_of<Pixel, Real>(image, i);
        compute(resize ? (*resize)(one, pixels) : one, settings, out.at<Real>(i));
      });
    });
  });
}

}  // namespace dssm
