// SPDX-License-Identifier: Apache-2.0
// Every channel filtered alone. Vectors hold channels, which lie side by side; neighbouring pixels share what is read.
#include <algorithm>
#include <stdexcept>

#include "convolution.h"
#include "cpu.h"
#include "simd.h"

namespace dssm {
namespace {

constexpr int kWide = 4;  // pixels of a row that are worked on together

struct Span {
  int64_t first, last;
};

// The part of [0, count) that lies inside of [0, size) when it begins at `start`.
Span inside(int64_t start, int64_t count, int64_t size) {
  return {std::max<int64_t>(-start, 0), std::min(count, size - start)};
}

// kWide pixels, N vectors of channels: out = clamp(bias + windows of side K, each `Stride` pixels after the one
// before). `rows` and `columns` of what all of them see exist; `count` of them are wanted.
template <int K, int Stride, int N>
void filter(const float* from, int64_t row, int64_t channels, Span rows, Span columns, const float* taps,
            const float* bias, Range range, int64_t count, float* to) {
  Floats sums[kWide * N];  // all loops over it are unrolled: it stays in registers
#pragma GCC unroll 8
  for (int i = 0; i < kWide * N; ++i) sums[i] = load<Floats>(bias + i % N * kLanes);
  for (int64_t y = rows.first; y < rows.last; ++y) {
    const float *line = from + y * row, *tap = taps + y * K * channels;
#pragma GCC unroll 16
    for (int x = 0; x < (kWide - 1) * Stride + K; ++x) {
      const bool seen = x >= columns.first && x < columns.last;
      Floats values[N];
#pragma GCC unroll 2
      for (int n = 0; n < N; ++n) values[n] = seen ? load<Floats>(line + x * channels + n * kLanes) : Floats{};
#pragma GCC unroll 8
      for (int i = 0; i < kWide * N; ++i) {
        const int at = x - i / N * Stride;
        if (at < 0 || at >= K) continue;
        sums[i] = fma(values[i % N], load<Floats>(tap + at * channels + i % N * kLanes), sums[i]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kWide * N; ++i) {
    if (i / N < count) store(to + i / N * channels + i % N * kLanes, range.clamp(sums[i]));
  }
}

template <int K, int Stride>
void convolve(const Array& x, const float* taps, const float* bias, int64_t top, int64_t left, Range range,
              const Array& out, int threads) {
  const auto [batch, channels, height, width] = sizes<4>(out);
  prefer_large_pages(out.data, out.count() * sizeof(float));
  parallel_for(batch * height, threads, [&, height = height, width = width, channels = channels](int64_t i) {
    const int64_t sample = i / height, y = i % height, first_row = y * Stride - top;
    const Span rows = inside(first_row, K, x.size[2]);
    for (int64_t column = 0; column < width; column += kWide) {
      const int64_t first_column = column * Stride - left;
      const Span columns = inside(first_column, (kWide - 1) * Stride + K, x.size[3]);
      const float* corner = x.at<const float>(sample, 0, first_row, first_column);
      float* to = out.at<float>(sample, 0, y, column);
      const int64_t count = std::min<int64_t>(kWide, width - column);
      const auto run = [&](auto vectors, int64_t channel) {
        filter<K, Stride, vectors>(corner + channel, x.stride[2], channels, rows, columns, taps + channel,
                                   bias + channel, range, count, to + channel);
      };
      int64_t channel = 0;
      for (; channel + 2 * kLanes <= channels; channel += 2 * kLanes) run(std::integral_constant<int, 2>(), channel);
      if (channel < channels) run(std::integral_constant<int, 1>(), channel);
    }
  });
}

}  // namespace

void convolution_depthwise_cpu(const Array& x, const Array& taps, const Array& bias, int64_t stride, int64_t top,
                               int64_t left, float low, float high, const Array& out, int threads) {
  const int64_t side = taps.size[0];
  const auto run = [&](auto convolve) {
    convolve(x, taps.as<const float>(), bias.as<const float>(), top, left, Range{low, high}, out, threads);
  };
  if (side == 3 && stride == 1) return run(convolve<3, 1>);
  if (side == 3 && stride == 2) return run(convolve<3, 2>);
  if (side == 5 && stride == 1) return run(convolve<5, 1>);
  if (side == 5 && stride == 2) return run(convolve<5, 2>);
  throw std::invalid_argument("dssm: the depthwise convolution has sides of 3 or 5 and strides of 1 or 2");
}

}  // namespace dssm
