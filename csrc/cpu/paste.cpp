// SPDX-License-Identifier: Apache-2.0
// A defect per image: a mask from noise or a rectangle, and what shows inside it.
#include "paste.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <vector>

#include "blend.h"
#include "component.h"
#include "cpu.h"
#include "perlin.h"
#include "philox.h"

namespace dssm {
namespace {

enum Kind { noise, scar, patch };

constexpr int kSteps = 32;  // how often a threshold moves in search of the area asked for

struct Size {
  int64_t channels, height, width;

  int64_t area() const { return height * width; }
};

// The largest component of noise > level, never empty; level moves until the area fits or the steps are used up.
void noise_mask(uint8_t* mask, uint64_t index, const Size& size, const PasteSettings& settings) {
  std::vector<float> values(size.area());
  std::vector<uint8_t> above(size.area());
  perlin_plane(values.data(), index, {size.height, size.width}, settings.seed, settings.resolution, true);
  const float peak = *std::max_element(values.begin(), values.end());
  float level = peak > settings.threshold ? settings.threshold : peak - 0.1f * std::abs(peak);
  bool risen = false;
  for (int step = 0;; ++step) {
    for (int64_t i = 0; i < size.area(); ++i) above[i] = values[i] > level || values[i] >= peak;
    component_plane(above.data(), mask, size.height, size.width, settings.connectivity);
    const int64_t pixels = std::accumulate(mask, mask + size.area(), int64_t{0});
    if (step == kSteps) return;
    if (pixels > settings.area[1]) {
      level += (peak - level) / 4;
      risen = true;
    } else if (pixels < settings.area[0] && !risen) {
      level -= 0.05f;
    } else {
      return;
    }
  }
}

struct Rectangle {
  int64_t height, width;   // pixels
  int64_t cos, sin;        // in 1/65536
  int64_t y, x;            // its centre
  int64_t from_y, from_x;  // the centre of its origin
};

// sqrt(a / b): both steps are correctly rounded, so every backend agrees.
double root(int64_t numerator, int64_t denominator) {
  return std::sqrt(static_cast<double>(numerator) / static_cast<double>(denominator));
}

// Sides inside the image and at least 1, with least <= h w <= most where that can be.
void fit(int64_t& h, int64_t& w, const Size& size, const std::array<int64_t, 2>& area) {
  const auto [least, most] = area;
  h = std::clamp<int64_t>(h, 1, size.height);
  w = std::clamp<int64_t>(w, 1, size.width);
  if (h * w < least) {
    const double taller = std::ceil(root(h * least, w)), wider = std::ceil(root(w * least, h));
    h = std::clamp<int64_t>(static_cast<int64_t>(taller), 1, size.height);
    w = std::clamp<int64_t>(static_cast<int64_t>(wider), 1, size.width);
  }
  if (h * w > most) {
    const double lower = root(h * most, w), narrower = root(w * most, h);
    h = std::max<int64_t>(static_cast<int64_t>(lower), 1);
    w = std::max<int64_t>(static_cast<int64_t>(narrower), 1);
  }
  h = std::max<int64_t>(std::min(h, most / w), 1);
  w = std::max<int64_t>(std::min(w, most / h), 1);
}

int64_t centre(uint32_t word, int64_t extent, int64_t length) {
  extent = std::min(extent, length);
  return integer(word, extent / 2, length - (extent + 1) / 2 + 1);
}

Rectangle rectangle(uint64_t index, Kind kind, const Size& size, const PasteSettings& settings) {
  const auto words = philox(settings.seed, index, Stream::paste, 0);
  Rectangle result;
  int64_t degrees = 0;
  if (kind == scar) {
    const int64_t side = std::min(size.height, size.width);
    result.height = (integer(words[1], 10 * 256, 25 * 256 + 1) * side + 32768) >> 16;
    result.width = (integer(words[2], 2 * 256, 16 * 256 + 1) * side + 32768) >> 16;
    degrees = integer(words[3], -45, 46);
  } else {
    const int64_t share = integer(words[1], 2000, 15001) * size.area();
    const bool slender = integer(words[3], 0, 2) == 0;
    const int64_t aspect = slender ? integer(words[2], 300, 1001) : integer(words[2], 1000, 3301);
    result.height = static_cast<int64_t>(root(share * aspect, 100000000));
    result.width = static_cast<int64_t>(root(share, 100 * aspect));
  }
  fit(result.height, result.width, size, settings.area);
  const double radians = static_cast<double>(degrees) * (3.14159265358979323846 / 180);
  result.cos = static_cast<int64_t>(std::nearbyint(std::cos(radians) * 65536));
  result.sin = static_cast<int64_t>(std::nearbyint(std::sin(radians) * 65536));

  const auto places = philox(settings.seed, index, Stream::paste, 1);
  const int64_t across = std::abs(result.sin);
  result.y = centre(places[0], (result.height * result.cos + result.width * across + 65535) >> 16, size.height);
  result.x = centre(places[1], (result.width * result.cos + result.height * across + 65535) >> 16, size.width);
  result.from_y = centre(places[2], result.height, size.height);
  result.from_x = centre(places[3], result.width, size.width);
  return result;
}

template <typename Pixel>
Pixel tint(Pixel value, int64_t gain) {
  if constexpr (std::is_same_v<Pixel, uint8_t>) {
    return static_cast<uint8_t>(std::min<int64_t>((value * gain + 128) >> 8, 255));
  } else {
    return value * (static_cast<Pixel>(gain) / 256);
  }
}

template <typename Pixel>
void cut(const Pixel* image, Pixel* out, uint8_t* mask, uint64_t index, Kind kind, const Size& size,
         const PasteSettings& settings) {
  std::vector<int64_t> gains(size.channels, 256);
  for (int64_t c = 0; kind == scar && c < size.channels; ++c) {
    gains[c] = integer(philox(settings.seed, index, Stream::paste, static_cast<uint32_t>(2 + c / 4))[c % 4], 230, 283);
  }
  const Rectangle shape = rectangle(index, kind, size, settings);
  const int64_t half_h = shape.height << 15, half_w = shape.width << 15;
  for (int64_t y = 0; y < size.height; ++y) {
    for (int64_t x = 0; x < size.width; ++x) {
      const int64_t dy = y - shape.y, dx = x - shape.x;
      const int64_t down = shape.cos * dy - shape.sin * dx, right = shape.sin * dy + shape.cos * dx;
      const bool inside = -half_h <= down && down < half_h && -half_w <= right && right < half_w;
      mask[y * size.width + x] = inside;
      if (!inside) continue;
      const int64_t row = std::clamp<int64_t>(shape.from_y + ((down + 32768) >> 16), 0, size.height - 1);
      const int64_t column = std::clamp<int64_t>(shape.from_x + ((right + 32768) >> 16), 0, size.width - 1);
      for (int64_t c = 0; c < size.channels; ++c) {
        const int64_t plane = c * size.area();
        out[plane + y * size.width + x] = tint(image[plane + row * size.width + column], gains[c]);
      }
    }
  }
}

template <typename Pixel>
void paste(const Array& image, const Array& source, uint64_t index, int64_t kind, const Array& out, const Array& mask,
           float* alpha, const PasteSettings& settings, int64_t b) {
  const Size size{image.size[1], image.size[2], image.size[3]};
  const Pixel* from = image.at<const Pixel>(b);
  Pixel* to = out.at<Pixel>(b);
  uint8_t* inside = mask.at<uint8_t>(b);
  std::copy(from, from + size.channels * size.area(), to);
  if (kind != noise) {
    cut(from, to, inside, index, static_cast<Kind>(kind), size, settings);
    *alpha = 0;
    return;
  }
  const Pixel* other = source.at<const Pixel>(b);
  const uint32_t word = philox(settings.seed, index, Stream::paste, 0)[0];
  *alpha = static_cast<float>(integer(word, settings.alpha[0], settings.alpha[1] + 1)) / 65536;
  noise_mask(inside, index, size, settings);
  const Mix<Pixel> mix(*alpha);
  for (int64_t c = 0; c < size.channels; ++c) {
    const int64_t plane = c * size.area();
    for (int64_t i = 0; i < size.area(); ++i) {
      if (inside[i]) to[plane + i] = mix(from[plane + i], other[plane + i]);
    }
  }
}

}  // namespace

void paste_cpu(const Array& image, const Array& source, const Array& index, const Array& kind, const Array& out,
               const Array& mask, const Array& alpha, const PasteSettings& settings, int threads) {
  visit<uint8_t, float, double>(image.type, [&](auto pixel) {
    using Pixel = typename decltype(pixel)::type;
    parallel_for(image.size[0], threads, [&](int64_t b) {
      paste<Pixel>(image, source, *index.at<int64_t>(b), *kind.at<int64_t>(b), out, mask, alpha.at<float>(b), settings,
                   b);
    });
  });
}

}  // namespace dssm
