// SPDX-License-Identifier: Apache-2.0
// A defect per image: the image is copied, then changed inside the mask, and nothing else of the source is read.
#include "paste.h"

#include <cstring>
#include <vector>

#include "blend.h"
#include "cpu.h"
#include "paste_noise.h"
#include "paste_rectangle.h"

namespace dssm {
namespace {

template <typename Pixel>
void copy_image(Pixel* to, const Array& image, int64_t b) {
  const auto [batch, channels, height, width] = sizes<4>(image);
  if (image.stride[1] == height * width && image.stride[2] == width && image.stride[3] == 1) {
    std::memcpy(static_cast<void*>(to), image.at<Pixel>(b), channels * height * width * sizeof(Pixel));
    return;
  }
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t c = 0; c < channels; ++c) {
      copy_row(to + (c * height + y) * width, image.at<Pixel>(b, c, y), width, image.stride[3]);
    }
  }
}

// Shows `count` pixels of the source through those of `image`, which is replaced.
template <typename Pixel>
void mix_row(Pixel* image, const Pixel* source, int64_t count, int64_t stride, const Mix<Pixel>& mix) {
  constexpr int kPixels = lanes<Wide<Pixel>>;
  int64_t x = 0;
  if (stride == 1) {
    for (; x + kPixels <= count; x += kPixels) store_wide(image + x, mix(load_wide(image + x), load_wide(source + x)));
  }
  for (; x < count; ++x) {
    const auto other = static_cast<Exact<Pixel>>(source[x * stride]);
    image[x] = static_cast<Pixel>(mix(static_cast<Exact<Pixel>>(image[x]), other));
  }
}

template <typename Pixel>
void paste_noise(const Array& source, const Array& out, int64_t b, const Runs& runs, double alpha) {
  const Mix<Pixel> mix(alpha);
  for (int64_t c = 0; c < out.size[1]; ++c) {
    for (const auto& [y, begin, end] : runs.largest()) {
      const Pixel* from = source.at<Pixel>(b, c, y, begin);
      mix_row(out.at<Pixel>(b, c, y, begin), from, end - begin, source.stride[3], mix);
    }
  }
}

template <typename Pixel>
void paste_rectangle(const Array& image, const Array& out, int64_t b, const Rectangle& shape, uint64_t index, Kind kind,
                     const PasteSettings& settings) {
  const Mix<Pixel> opaque(0);
  for (int64_t c = 0; c < out.size[1]; ++c) {
    const int64_t factor = gain(index, kind, c, settings);
    shape.for_each_row([&](int64_t y, int64_t begin, int64_t end) {
      if (shape.upright() && factor == 256) {
        const auto [row, column] = shape.origin(y, begin);
        const Pixel* from = image.at<Pixel>(b, c, row, column);
        mix_row(out.at<Pixel>(b, c, y, begin), from, end - begin, image.stride[3], opaque);
        return;
      }
      for (int64_t x = begin; x < end; ++x) {
        const auto [row, column] = shape.origin(y, x);
        const Pixel piece = tint(*image.at<Pixel>(b, c, row, column), factor);
        mix_row(out.at<Pixel>(b, c, y, x), &piece, 1, 1, opaque);
      }
    });
  }
}

template <typename Pixel>
void scale_row(Pixel* to, const Pixel* from, int64_t count, Exact<Pixel> factor) {
  for (int64_t x = 0; x < count; ++x) to[x] = static_cast<Pixel>(static_cast<Exact<Pixel>>(from[x]) * factor);
}

// `grad_image` holds the gradient of the result.
template <typename Pixel>
void noise_backward(const Array& grad_image, const Array& grad_source, int64_t b, const Runs& runs, double alpha) {
  const Mix<Pixel> mix(alpha);
  for (int64_t c = 0; c < grad_image.size[1]; ++c) {
    for (const auto& [y, begin, end] : runs.largest()) {
      Pixel* to = grad_image.at<Pixel>(b, c, y, begin);
      scale_row(grad_source.at<Pixel>(b, c, y, begin), to, end - begin, mix.rest);
      scale_row(to, to, end - begin, mix.weight);
    }
  }
}

// The place that a rectangle's pixels come from collects their gradients.
template <typename Pixel>
void rectangle_backward(const Array& grad, const Array& grad_image, int64_t b, const Rectangle& shape, uint64_t index,
                        Kind kind, const PasteSettings& settings) {
  for (int64_t c = 0; c < grad.size[1]; ++c) {
    const int64_t factor = gain(index, kind, c, settings);
    shape.for_each_row([&](int64_t y, int64_t begin, int64_t end) {
      Pixel* to = grad_image.at<Pixel>(b, c, y, begin);
      scale_row(to, to, end - begin, 0);
    });
    shape.for_each_row([&](int64_t y, int64_t begin, int64_t end) {
      for (int64_t x = begin; x < end; ++x) {
        const auto [row, column] = shape.origin(y, x);
        Pixel* to = grad_image.at<Pixel>(b, c, row, column);
        *to = static_cast<Pixel>(static_cast<Exact<Pixel>>(*to) + tint(*grad.at<Pixel>(b, c, y, x), factor));
      }
    });
  }
}

}  // namespace

void paste_cpu(const Array& image, const Array& source, const Array& index, const Array& kind, const Array& out,
               const Array& mask, const Array& alpha, const PasteSettings& settings, int threads) {
  const std::array<int64_t, 2> size{image.size[2], image.size[3]};
  visit<uint8_t, float16, bfloat16, float, double>(image.type, [&](auto pixel) {
    using Pixel = typename decltype(pixel)::type;
    parallel_for_with<NoiseMask>(image.size[0], threads, [&](int64_t b, NoiseMask& noise_mask) {
      const uint64_t sample = *index.at<int64_t>(b);
      const auto what = static_cast<Kind>(*kind.at<int64_t>(b));
      float& weight = *alpha.at<float>(b);
      const auto cover = [&](int64_t y, int64_t begin, int64_t end) {
        std::memset(mask.at<uint8_t>(b, y, begin), 1, end - begin);
      };
      copy_image(out.at<Pixel>(b), image, b);
      std::memset(mask.at<uint8_t>(b), 0, size[0] * size[1]);
      if (what == noise) {
        weight = static_cast<float>(noise_weight(sample, settings)) / 65536;
        const Runs& runs = noise_mask.find(sample, size, settings);
        for (const auto& [y, begin, end] : runs.largest()) cover(y, begin, end);
        paste_noise<Pixel>(source, out, b, runs, weight);
      } else {
        weight = 0;
        const Rectangle shape(sample, what, size, settings);
        shape.for_each_row(cover);
        paste_rectangle<Pixel>(image, out, b, shape, sample, what, settings);
      }
    });
  });
}

void paste_backward_cpu(const Array& grad, const Array& index, const Array& kind, const Array& grad_image,
                        const Array& grad_source, const PasteSettings& settings, int threads) {
  const std::array<int64_t, 2> size{grad.size[2], grad.size[3]};
  visit<float16, bfloat16, float, double>(grad.type, [&](auto pixel) {
    using Pixel = typename decltype(pixel)::type;
    const int64_t bytes = grad.size[1] * size[0] * size[1] * sizeof(Pixel);
    parallel_for_with<NoiseMask>(grad.size[0], threads, [&](int64_t b, NoiseMask& noise_mask) {
      const uint64_t sample = *index.at<int64_t>(b);
      const auto what = static_cast<Kind>(*kind.at<int64_t>(b));
      copy_image(grad_image.at<Pixel>(b), grad, b);
      if (grad_source) std::memset(static_cast<void*>(grad_source.at<Pixel>(b)), 0, bytes);
      if (what == noise) {
        const double weight = static_cast<double>(noise_weight(sample, settings)) / 65536;
        noise_backward<Pixel>(grad_image, grad_source, b, noise_mask.find(sample, size, settings), weight);
      } else {
        rectangle_backward<Pixel>(grad, grad_image, b, Rectangle(sample, what, size, settings), sample, what, settings);
      }
    });
  });
}

}  // namespace dssm
