// SPDX-License-Identifier: Apache-2.0
// Equation 3 and its gradients, row by row. Where no pixel of a vector is inside the mask the source is not read.
#include "blend.h"

#include <algorithm>
#include <vector>

#include "cpu.h"

namespace dssm {
namespace {

double value(const Array& alpha, int64_t b) {
  return alpha.type == Type::float64 ? *alpha.at<double>(b) : *alpha.at<float>(b);
}

// A row of an array as contiguous values: where it lies, or copied.
template <typename Value>
class Row {
 public:
  const Value* operator()(const Value* from, int64_t count, int64_t stride) {
    if (stride == 1) return from;
    buffer_.resize(count);
    copy_row(buffer_.data(), from, count, stride);
    return buffer_.data();
  }

 private:
  std::vector<Value> buffer_;
};

template <typename Pixel>
struct Rows {
  Row<uint8_t> mask;
  Row<Pixel> image, source;
};

// 0 or -1 per pixel of a vector: which of them lie inside the mask.
template <typename Pixel>
auto load_inside(const uint8_t* mask) {
  if constexpr (std::is_same_v<Pixel, double>) {
    return convert<int64_t>(load<Vector<uint8_t, lanes<Wide<double>>>>(mask)) != 0;
  } else {
    return load_ints(mask) != 0;
  }
}

// Calls body(x, count, inside) for vectors of pixels that together hold every pixel inside; `count` is smaller than a
// vector only at the end of the row.
template <typename Pixel, typename Body>
void for_each_inside(const uint8_t* mask, int64_t width, Body body) {
  constexpr int64_t kPixels = lanes<Wide<Pixel>>;
  int64_t x = 0;
  for (; x + kVectorBytes <= width; x += kVectorBytes) {
    if (!any(load<Vector<uint8_t>>(mask + x) != 0)) continue;
    for (int64_t i = x; i < x + kVectorBytes; i += kPixels) body(i, kPixels, load_inside<Pixel>(mask + i));
  }
  for (; x < width; x += kPixels) {
    const int64_t count = std::min(kPixels, width - x);
    uint8_t rest[kPixels] = {};
    std::memcpy(rest, mask + x, count);
    body(x, count, load_inside<Pixel>(rest));
  }
}

template <typename Pixel>
void blend(const Array& image, const Array& source, const Array& mask, double alpha, const Array& out, int64_t b,
           Rows<Pixel>& rows) {
  const auto [batch, channels, height, width] = sizes<4>(image);
  const Mix<Pixel> mix(alpha);
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* flags = rows.mask(mask.at<uint8_t>(b, y), width, mask.stride[2]);
    for (int64_t c = 0; c < channels; ++c) {
      Pixel* to = out.at<Pixel>(b, c, y);
      copy_row(to, image.at<Pixel>(b, c, y), width, image.stride[3]);
      const Pixel* from = rows.source(source.at<Pixel>(b, c, y), width, source.stride[3]);
      for_each_inside<Pixel>(flags, width, [&](int64_t x, int64_t count, auto inside) {
        const auto pixels = load_wide(to + x, count);
        store_wide(to + x, inside ? mix(pixels, load_wide(from + x, count)) : pixels, count);
      });
    }
  }
}

// Returns the gradient of alpha.
template <typename Pixel>
double blend_backward(const Array& grad, const Array& image, const Array& source, const Array& mask, double alpha,
                      const Array& grad_image, const Array& grad_source, int64_t b, Rows<Pixel>& rows) {
  const auto [batch, channels, height, width] = sizes<4>(grad);
  const Mix<Pixel> mix(alpha);
  double total = 0;
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* flags = rows.mask(mask.at<uint8_t>(b, y), width, mask.stride[2]);
    for (int64_t c = 0; c < channels; ++c) {
      Pixel *to_image = grad_image.at<Pixel>(b, c, y), *to_source = grad_source.at<Pixel>(b, c, y);
      copy_row(to_image, grad.at<Pixel>(b, c, y), width, grad.stride[3]);
      std::memset(static_cast<void*>(to_source), 0, width * sizeof(Pixel));
      const Pixel* above = rows.image(image.at<Pixel>(b, c, y), width, image.stride[3]);
      const Pixel* below = rows.source(source.at<Pixel>(b, c, y), width, source.stride[3]);
      for_each_inside<Pixel>(flags, width, [&](int64_t x, int64_t count, auto inside) {
        const auto from = load_wide(to_image + x, count);
        store_wide(to_image + x, inside ? mix.weight * from : from, count);
        store_wide(to_source + x, inside ? mix.rest * from : Wide<Pixel>{}, count);
        const auto change = from * (load_wide(above + x, count) - load_wide(below + x, count));
        total += sum(inside ? change : Wide<Pixel>{});
      });
    }
  }
  return total;
}

}  // namespace

void blend_cpu(const Array& image, const Array& source, const Array& mask, const Array& alpha, const Array& out,
               int threads) {
  visit<uint8_t, float16, bfloat16, float, double>(image.type, [&](auto pixel) {
    using Pixel = typename decltype(pixel)::type;
    parallel_for_with<Rows<Pixel>>(image.size[0], threads, [&](int64_t b, Rows<Pixel>& rows) {
      blend<Pixel>(image, source, mask, value(alpha, b), out, b, rows);
    });
  });
}

void blend_backward_cpu(const Array& grad, const Array& image, const Array& source, const Array& mask,
                        const Array& alpha, const Array& grad_image, const Array& grad_source, const Array& grad_alpha,
                        int threads) {
  visit<float16, bfloat16, float, double>(image.type, [&](auto pixel) {
    using Pixel = typename decltype(pixel)::type;
    parallel_for_with<Rows<Pixel>>(image.size[0], threads, [&](int64_t b, Rows<Pixel>& rows) {
      *grad_alpha.at<double>(b) =
          blend_backward<Pixel>(grad, image, source, mask, value(alpha, b), grad_image, grad_source, b, rows);
    });
  });
}

}  // namespace dssm
