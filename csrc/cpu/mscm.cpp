// SPDX-License-Identifier: Apache-2.0
// Bias, activation and the means of the maps follow the products of a strip while it is in the cache; the channel
// attention follows when an image is complete.
#include "mscm.h"

#include <algorithm>
#include <optional>

#include "cpu.h"
#include "mscm_attention.h"
#include "mscm_product.h"
#include "simd.h"

namespace dssm {

namespace mscm {

namespace {

// Applies `function` to some rows of sums and adds the results up in `totals`.
template <typename Function>
void transform(float* rows, int64_t count, float* totals, Function function) {
  Floats total[kColumns];
  for (int v = 0; v < kColumns; ++v) total[v] = load<Floats>(totals + v * kLanes);
  for (int64_t i = 0; i < count; ++i, rows += kWidth) {
    for (int v = 0; v < kColumns; ++v) {
      const Floats result = function(load<Floats>(rows + v * kLanes));
      store(rows + v * kLanes, result);
      total[v] = total[v] + result;
    }
  }
  for (int v = 0; v < kColumns; ++v) store(totals + v * kLanes, total[v]);
}

void activate(Activation activation, float* rows, int64_t count, float* totals) {
  switch (activation) {
    case Activation::sigmoid:
      return transform(rows, count, totals, [](Floats x) { return 1.0f / (1.0f + exp(-x)); });
    case Activation::relu:
      return transform(rows, count, totals, [](Floats x) { return x < Floats{} ? Floats{} : x; });
    case Activation::none:
      return transform(rows, count, totals, [](Floats x) { return x; });
  }
}

// to = from * scale, a map of one image each.
template <typename T>
void rescale(const Map<float>& from, int64_t image, const float* scale, const Map<T>& to, int64_t target) {
  const float* values = from.at(image);
  T* results = to.at(target);
  const int64_t lines = from.channels_last ? from.pixels : from.channels;
  const int64_t length = from.channels_last ? from.channels : from.pixels;
  for (int64_t line = 0; line < lines; ++line, values += length, results += length) {
    for (int64_t i = 0; i < length; i += kLanes) {
      const int64_t width = length - i;
      Floats factor = splat<Floats>(1);
      if (scale) factor = from.channels_last ? load_floats(scale + i, width) : splat<Floats>(scale[line]);
      store_floats(results + i, load_floats(values + i, width) * factor, width);
    }
  }
}

struct Space {
  Buffer rows, sums, totals, results, hidden;
};

class Forward {
 public:
  Forward(const Array& x, const Array& weight, const Array& bias, const AttentionWeights& attention, int64_t dilation,
          Activation activation, const Array& out, const Array& squeezed)
      : x_(x),
        out_(out),
        squeezed_(squeezed),
        activation_(activation),
        panels_(weight, false),
        groups_({x.size[0], x.size[2], x.size[3], dilation}, strip_pixels(x.size[1]), panels_.taps_at_once()),
        bias_(panels_.blocks() * kWidth),
        zeros_(x.size[1]) {
    zeros_.clear();
    bias_.clear();
    visit<float, bfloat16, float16>(x.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if (bias) to_rows<T>({bias.as<T>(), 1, bias.size[0], 0, bias.stride[0]}, bias_.data(), 0);
    });
    if (attention) attention_.emplace(attention);
  }

  void run(int threads) const {
    visit<float, bfloat16, float16>(x_.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      parallel_for_with<Space>(groups_.count(), threads, [&](int64_t i, Space& space) { group<T>(i, space); });
    });
  }

 private:
  template <typename T>
  void group(int64_t index, Space& space) const {
    const Plan& plan = groups_.plan(index);
    const int64_t first = groups_.first_image(index), images = plan.grid.images;
    const Rows rows = rows_of(x_, first, images, space.rows, round_up(x_.size[1], kLanes));
    space.totals.reserve(images * padded());
    space.totals.clear();
    Map<float> results(out_);  // where float32 goes at once; other types by way of a copy of the group
    const bool direct = std::is_same_v<T, float>;
    results.data = direct ? results.at(first) : space.results.reserve(images * results.channels * results.pixels);
    for (const Strip& strip : plan.strips) {
      for (int64_t block = 0; block < panels_.blocks(); ++block) {
        float* sums = space.sums.reserve((strip.count() + 1) * kWidth);
        fill(sums, strip.count() + 1, bias_.data() + block * kWidth);
        convolve(plan.grid, strip, rows, panels_, block, zeros_.data(), sums);
        finish(strip, block, sums, space.totals.data(), results);
      }
    }
    if (direct && !attention_) return;
    const Map<T> out(out_);
    for (int64_t image = 0; image < images; ++image) {
      const float* scale = attention_ ? attend(first + image, space.totals.data() + image * padded(), space) : nullptr;
      rescale(results, image, scale, out, first + image);
    }
  }

  // A strip may hold pieces of several images.
  void finish(const Strip& strip, int64_t block, float* sums, float* totals, const Map<float>& results) const {
    const int64_t channel = block * kWidth, width = std::min<int64_t>(kWidth, results.channels - channel);
    for (int64_t begin = strip.first, end; begin < strip.last; sums += (end - begin) * kWidth, begin = end) {
      const int64_t image = begin / results.pixels;
      end = std::min(strip.last, (image + 1) * results.pixels);
      activate(activation_, sums, end - begin, totals + image * padded() + channel);
      from_rows(sums, kWidth, results.part(image, begin - image * results.pixels, end - begin, channel, width));
    }
  }

  // What the maps of an image, with these sums over their pixels, are multiplied with.
  const float* attend(int64_t image, const float* totals, Space& space) const {
    float* mean = squeezed_.at<float>(0, image);
    float* scale = squeezed_.at<float>(1, image);
    const float pixels = static_cast<float>(x_.size[2] * x_.size[3]);
    for (int64_t c = 0; c < attention_->channels(); ++c) mean[c] = totals[c] / pixels;
    attention_->scale(mean, space.hidden.reserve(round_up(attention_->hidden(), kLanes)), scale);
    return scale;
  }

  int64_t padded() const { return panels_.blocks() * kWidth; }

  const Array &x_, &out_, &squeezed_;
  Activation activation_;
  Panels panels_;
  Groups groups_;
  Buffer bias_, zeros_;
  std::optional<Attention> attention_;
};

}  // namespace

}  // namespace mscm

int mscm_width() { return mscm::kWidth; }

void mscm_cpu(const Array& x, const Array& weight, const Array& bias, const AttentionWeights& attention,
              int64_t dilation, Activation activation, const Array& out, const Array& squeezed, int threads) {
  if (out.count() == 0) return;
  prefer_large_pages(out.data, out.count() * (out.type == Type::float32 ? 4 : 2));
  mscm::Forward(x, weight, bias, attention, dilation, activation, out, squeezed).run(threads);
}

}  // namespace dssm
