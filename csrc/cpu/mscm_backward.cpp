// SPDX-License-Identifier: Apache-2.0
// Image by image, the gradient is brought back through the attention and the activation, as rows of channels; then the
// input's gradient is a convolution with the transposed weights, and the weights' a product over all pixels.
#include <algorithm>
#include <optional>
#include <vector>

#include "cpu.h"
#include "mscm.h"
#include "mscm_attention.h"
#include "mscm_product.h"
#include "simd.h"

namespace dssm {

namespace mscm {

namespace {

constexpr int64_t kPiece = 64;  // pixels whose sums are added up before they join the total: less is rounded away

// Calls body(channel, channels, pixel, pixels) for every vector of channels in every piece.
template <typename Body>
void for_pieces(int64_t channels, int64_t pixels, Body body) {
  for (int64_t pixel = 0; pixel < pixels; pixel += kPiece) {
    for (int64_t channel = 0; channel < channels; channel += kLanes) {
      body(channel, channels - channel, pixel, std::min(kPiece, pixels - pixel));
    }
  }
}

void add(float* to, Floats value) { store(to, load<Floats>(to) + value); }

// to[c] = sum over pixels of a(pixel, c) * b(pixel, c)
void dot_pixels(Rows a, Rows b, int64_t channels, int64_t pixels, float* to) {
  std::fill_n(to, round_up(channels, kLanes), 0.0f);
  for_pieces(channels, pixels, [&](int64_t channel, int64_t width, int64_t pixel, int64_t count) {
    Floats total{};
    for (int64_t i = pixel; i < pixel + count; ++i) {
      const Floats left = load_floats(a.data + i * a.pitch + channel, width);
      total = fma(left, load_floats(b.data + i * b.pitch + channel, width), total);
    }
    add(to + channel, total);
  });
}

// What takes the gradient of an image's channel back to y, the activation's result: grad * scale + shift; and y itself
// is the result times `inverse`.
struct Chain {
  const float *scale, *shift, *inverse;
};

// to = (grad * scale + shift) * slope(out * inverse), and its sum over the pixels added to `totals`.
template <typename Slope>
void chain_pixels(Rows grad, Rows out, const Chain& chain, int64_t channels, int64_t pixels, float* to, int64_t pitch,
                  float* totals, Slope slope) {
  for_pieces(channels, pixels, [&](int64_t channel, int64_t width, int64_t pixel, int64_t count) {
    const Floats scale = load<Floats>(chain.scale + channel), shift = load<Floats>(chain.shift + channel);
    const Floats inverse = load<Floats>(chain.inverse + channel);
    Floats total{};
    for (int64_t i = pixel; i < pixel + count; ++i) {
      const Floats outer = load_floats(grad.data + i * grad.pitch + channel, width);
      const Floats result = load_floats(out.data + i * out.pitch + channel, width);
      const Floats inner = slope(fma(outer, scale, shift), result * inverse);
      store(to + i * pitch + channel, inner);
      total = total + inner;
    }
    add(totals + channel, total);
  });
}

void chain_pixels(Activation activation, Rows grad, Rows out, const Chain& chain, int64_t channels, int64_t pixels,
                  float* to, int64_t pitch, float* totals) {
  const auto run = [&](auto slope) { chain_pixels(grad, out, chain, channels, pixels, to, pitch, totals, slope); };
  switch (activation) {
    case Activation::sigmoid:
      return run([](Floats grad, Floats y) { return grad * (y * (1.0f - y)); });
    case Activation::relu:
      return run([](Floats grad, Floats y) { return y <= Floats{} ? Floats{} : grad; });
    case Activation::none:
      return run([](Floats grad, Floats) { return grad; });
  }
}

// to(row, column) = sum_i left(i, row) * right(i, column), into a gradient of any type.
void write_product(const float* left, int64_t rows, const float* right, int64_t columns, int64_t count,
                   const Array& to) {
  const int64_t pitch = round_up(columns, kLanes);
  Buffer sums(rows * pitch);
  sums.clear();
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t row = 0; row < rows; ++row) {
      const float factor = left[i * rows + row];
      for (int64_t column = 0; column < columns; ++column) {
        sums.data()[row * pitch + column] += factor * right[i * columns + column];
      }
    }
  }
  visit<float, bfloat16, float16>(to.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    from_rows<T>(sums.data(), pitch, {to.as<T>(), rows, columns, columns, 1});
  });
}

class Backward {
 public:
  Backward(const Array& grad, const Array& out, const Array& squeezed, const Array& x, const Array& weight,
           const AttentionWeights& attention, int64_t dilation, Activation activation, const MscmGradients& gradients)
      : grad_(grad),
        out_(out),
        squeezed_(squeezed),
        x_(x),
        activation_(activation),
        gradients_(gradients),
        panels_(weight, true),
        groups_({x.size[0], x.size[2], x.size[3], dilation}, strip_pixels(std::max(x.size[1], out.size[1])),
                panels_.taps_at_once()),
        outs_(round_up(out.size[1], kTile)),
        pitch_(round_up(outs_, kLanes) + kLanes),  // no power of two: rows would share few places in the cache
        zeros_(pitch_),
        ones_(pitch_),
        weight_sums_(blocks() * kTaps * outs_ * kWidth),
        bias_sums_(x.size[0] * pitch_) {
    zeros_.clear();
    std::fill_n(ones_.data(), pitch_, 1.0f);
    weight_sums_.clear();
    bias_sums_.clear();
    if (attention) {
      attention_.emplace(attention);
      excite_.reserve(x.size[0] * out.size[1]);
      hidden_.reserve(x.size[0] * attention_->hidden());
      squeeze_.reserve(x.size[0] * attention_->hidden());
    }
  }

  // As many groups at a time as there are threads: their rows are needed until the weights' gradient has them.
  void run(int threads) {
    std::vector<Lot> lots(std::min<int64_t>(threads, groups_.count()));
    for (int64_t first = 0; first < groups_.count(); first += lots.size()) {
      const int64_t count = std::min<int64_t>(lots.size(), groups_.count() - first);
      parallel_for(count, threads, [&](int64_t i) { input_gradient(first + i, lots[i]); });
      parallel_for_with<Buffer>(blocks(), threads, [&](int64_t block, Buffer& panel) {
        for (int64_t i = 0; i < count; ++i) weight_gradient(groups_.plan(first + i), lots[i], block, panel);
      });
    }
    write_weight();
    write_bias();
    if (attention_) write_attention();
  }

 private:
  // A group of images and its intermediate results.
  struct Lot {
    Rows x, grad;
    Buffer x_copy, grad_copy, out_copy, grad_rows, sums, factors;
  };

  int64_t blocks() const { return (x_.size[1] + kWidth - 1) / kWidth; }
  int64_t channels() const { return out_.size[1]; }

  void input_gradient(int64_t group, Lot& lot) {
    const Plan& plan = groups_.plan(group);
    const int64_t first = groups_.first_image(group), images = plan.grid.images, pixels = plan.grid.pixels();
    lot.x = rows_of(x_, first, images, lot.x_copy, round_up(x_.size[1], kLanes));
    lot.grad = {lot.grad_rows.reserve(pixels * pitch_), pitch_};
    for (int64_t image = 0; image < images; ++image) activation_gradient(first + image, image, pixels / images, lot);
    visit<float, bfloat16, float16>(x_.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const Map<T> results(gradients_.x);
      for (const Strip& strip : plan.strips) {
        float* sums = lot.sums.reserve((strip.count() + 1) * kWidth);
        for (int64_t block = 0; block < panels_.blocks(); ++block) {
          std::fill_n(sums, (strip.count() + 1) * kWidth, 0.0f);
          convolve(plan.grid, strip, lot.grad, panels_, block, zeros_.data(), sums);
          store_strip(strip, block, sums, first, results);
        }
      }
    });
  }

  // From the gradient of an image to that of what the activation was given, in the lot's rows.
  void activation_gradient(int64_t image, int64_t place, int64_t pixels, Lot& lot) {
    float* to = lot.grad_rows.data() + place * pixels * pitch_;
    for (int64_t i = 0; i < pixels; ++i) std::fill_n(to + i * pitch_ + channels(), pitch_ - channels(), 0.0f);
    const Rows grad = rows_of(grad_, image, 1, lot.grad_copy, pitch_);
    const Rows out = rows_of(out_, image, 1, lot.out_copy, pitch_);
    Chain chain{ones_.data(), zeros_.data(), ones_.data()};
    if (attention_) chain = attention_gradient(image, pixels, grad, out, lot);
    chain_pixels(activation_, grad, out, chain, channels(), pixels, to, pitch_, bias_sums_.data() + image * pitch_);
  }

  Chain attention_gradient(int64_t image, int64_t pixels, Rows grad, Rows out, Lot& lot) {
    const float *mean = squeezed_.at<float>(0, image), *factor = squeezed_.at<float>(1, image);
    lot.factors.reserve(3 * pitch_);
    float* scale = lot.factors.clear();
    float *shift = scale + pitch_, *inverse = shift + pitch_;
    float* hidden = hidden_.data() + image * attention_->hidden();
    float* excite = excite_.data() + image * channels();
    float* squeeze = squeeze_.data() + image * attention_->hidden();
    attention_->scale(mean, hidden, scale);
    dot_pixels(grad, out, channels(), pixels, shift);
    // With out = y s: dL/ds = sum grad y = shift / s, and s' = s (1 - s).
    for (int64_t c = 0; c < channels(); ++c) {
      scale[c] = factor[c];
      inverse[c] = 1 / factor[c];
      excite[c] = shift[c] * (1 - factor[c]);
    }
    attention_->backward(excite, hidden, squeeze, shift);
    for (int64_t c = 0; c < channels(); ++c) shift[c] /= static_cast<float>(pixels);
    return {scale, shift, inverse};
  }

  template <typename T>
  void store_strip(const Strip& strip, int64_t block, const float* sums, int64_t first, const Map<T>& results) const {
    const int64_t channel = block * kWidth, width = std::min<int64_t>(kWidth, results.channels - channel);
    for (int64_t begin = strip.first, end; begin < strip.last; sums += (end - begin) * kWidth, begin = end) {
      const int64_t image = begin / results.pixels;
      end = std::min(strip.last, (image + 1) * results.pixels);
      from_rows(sums, kWidth, results.part(first + image, begin - image * results.pixels, end - begin, channel, width));
    }
  }

  void weight_gradient(const Plan& plan, const Lot& lot, int64_t block, Buffer& panel) const {
    const int64_t channel = block * kWidth, width = std::min<int64_t>(kWidth, x_.size[1] - channel);
    for (const Strip& strip : plan.strips) {
      correlate(plan.grid, strip, lot.grad, outs_, lot.x, channel, width, panel, sums_of(block, 0));
    }
  }

  // (outs_, kWidth)
  float* sums_of(int64_t block, int tap) const { return weight_sums_.data() + (block * kTaps + tap) * outs_ * kWidth; }

  void write_weight() const {
    const auto [windows, outs, ins] = sizes<3>(gradients_.weight);
    visit<float, bfloat16, float16>(x_.type, [&, windows = windows, outs = outs, ins = ins](auto tag) {
      using T = typename decltype(tag)::type;
      for (int64_t block = 0; block < blocks(); ++block) {
        const int64_t channel = block * kWidth, width = std::min<int64_t>(kWidth, ins - channel);
        for (int t = 1; t < kTaps && windows == 1; ++t) {
          for (int64_t i = 0; i < outs_ * kWidth; ++i) sums_of(block, 0)[i] += sums_of(block, t)[i];
        }
        for (int64_t window = 0; window < windows; ++window) {
          from_rows<T>(sums_of(block, window), kWidth,
                       {gradients_.weight.at<T>(window) + channel, outs, width, ins, 1});
        }
      }
    });
  }

  void write_bias() const {
    if (!gradients_.bias) return;
    for (int64_t image = 1; image < x_.size[0]; ++image) {
      for (int64_t c = 0; c < channels(); ++c) bias_sums_.data()[c] += bias_sums_.data()[image * pitch_ + c];
    }
    visit<float, bfloat16, float16>(x_.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      from_rows<T>(bias_sums_.data(), 0, {gradients_.bias.as<T>(), 1, channels(), 0, 1});
    });
  }

  void write_attention() const {
    const int64_t images = x_.size[0], hidden = attention_->hidden();
    const std::vector<float> one(images, 1.0f);
    write_product(squeeze_.data(), hidden, squeezed_.as<float>(), channels(), images, gradients_.squeeze_weight);
    write_product(one.data(), 1, squeeze_.data(), hidden, images, gradients_.squeeze_bias);
    write_product(excite_.data(), channels(), hidden_.data(), hidden, images, gradients_.excite_weight);
    write_product(one.data(), 1, excite_.data(), channels(), images, gradients_.excite_bias);
  }

  const Array &grad_, &out_, &squeezed_, &x_;
  Activation activation_;
  const MscmGradients& gradients_;
  Panels panels_;
  Groups groups_;
  int64_t outs_, pitch_;
  Buffer zeros_, ones_, weight_sums_, bias_sums_;
  std::optional<Attention> attention_;
  Buffer excite_, hidden_, squeeze_;  // of every image: dL/d(W2 h), h, dL/d(W1 z)
};

}  // namespace

}  // namespace mscm

void mscm_backward_cpu(const Array& grad, const Array& out, const Array& squeezed, const Array& x, const Array& weight,
                       const AttentionWeights& attention, int64_t dilation, Activation activation,
                       const MscmGradients& gradients, int threads) {
  prefer_large_pages(gradients.x.data, gradients.x.count() * (x.type == Type::float32 ? 4 : 2));
  mscm::Backward(grad, out, squeezed, x, weight, attention, dilation, activation, gradients).run(threads);
}

}  // namespace dssm
