// SPDX-License-Identifier: Apache-2.0
// Batch normalisation with the addition and the ReLU that follow it, in the two passes that it cannot do without: one
// over the maps for the sums, one that writes. A map is rows of channels; rows are summed in slices of fixed length, in
// float, and the slices in double, so that the number of threads changes nothing.
#include "batchnorm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu.h"
#include "simd.h"

namespace dssm {
namespace {

constexpr int64_t kSlice = 256;  // rows

int64_t rows_of(const Array& maps) { return maps.size[0] * maps.size[2] * maps.size[3]; }

// Two sums per channel over all rows: `body(row, channel, first, second)` adds what one row gives to a vector of
// channels.
template <typename Body>
std::vector<double> sum_rows(int64_t rows, int64_t channels, int threads, Body body) {
  const int64_t slices = (rows + kSlice - 1) / kSlice;
  std::vector<float> partial(slices * 2 * channels);
  parallel_for(slices, threads, [&](int64_t slice) {
    const int64_t begin = slice * kSlice, end = std::min(rows, begin + kSlice);
    float* first = &partial[slice * 2 * channels];
    float* second = first + channels;
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t c = 0; c < channels; c += kLanes) {
        Floats a = load<Floats>(first + c), b = load<Floats>(second + c);
        body(row, c, a, b);
        store(first + c, a);
        store(second + c, b);
      }
    }
  });
  std::vector<double> total(2 * channels, 0.0);
  for (int64_t slice = 0; slice < slices; ++slice) {
    for (int64_t i = 0; i < 2 * channels; ++i) total[i] += partial[slice * 2 * channels + i];
  }
  return total;
}

}  // namespace

int batchnorm_panel() { return kLanes; }

void batchnorm_cpu(const Array& x, const Array& weight, const Array& bias, const Array& residual, double eps, bool relu,
                   const Array& y, const Array& mean, const Array& rstd, int threads) {
  const int64_t rows = rows_of(x), channels = x.size[1];
  const float *from = x.as<const float>(), *added = residual.as<const float>();
  float *to = y.as<float>(), *means = mean.as<float>(), *scales = rstd.as<float>();

  prefer_large_pages(to, y.count() * sizeof(float));

  // Sums of the differences to the first row: a mean far from zero must not swallow the variance.
  const std::vector<double> sums = sum_rows(rows, channels, threads, [&](int64_t row, int64_t c, Floats& a, Floats& b) {
    const Floats difference = load<Floats>(from + row * channels + c) - load<Floats>(from + c);
    a += difference;
    b = fma(difference, difference, b);
  });
  std::vector<float> factor(channels), offset(channels);
  for (int64_t c = 0; c < channels; ++c) {
    const double shift = sums[c] / rows, variance = std::max(sums[channels + c] / rows - shift * shift, 0.0);
    const double average = from[c] + shift, scale = 1 / std::sqrt(variance + eps);
    means[c] = static_cast<float>(average);
    scales[c] = static_cast<float>(scale);
    factor[c] = static_cast<float>(weight.as<float>()[c] * scale);
    offset[c] = static_cast<float>(bias.as<float>()[c] - weight.as<float>()[c] * scale * average);
  }

  parallel_for((rows + kSlice - 1) / kSlice, threads, [&](int64_t slice) {
    for (int64_t row = slice * kSlice; row < std::min(rows, (slice + 1) * kSlice); ++row) {
      for (int64_t c = 0; c < channels; c += kLanes) {
        const int64_t i = row * channels + c;
        Floats value = fma(load<Floats>(from + i), load<Floats>(&factor[c]), load<Floats>(&offset[c]));
        if (added != nullptr) value += load<Floats>(added + i);
        store(to + i, relu ? (value < 0 ? Floats{} : value) : value);
      }
    }
  });
}

void batchnorm_backward_cpu(const Array& grad, const Array& x, const Array& weight, bool relu, const Array& y,
                            const Array& mean, const Array& rstd, const Array& grad_x, const Array& grad_weight,
                            const Array& grad_bias, const Array& grad_residual, int threads) {
  const int64_t rows = rows_of(x), channels = x.size[1];
  const float *from = x.as<const float>(), *after = y.as<const float>(), *means = mean.as<const float>();
  float *to = grad_x.as<float>(), *added = grad_residual.as<float>();
  prefer_large_pages(to, grad_x.count() * sizeof(float));
  if (added != nullptr) prefer_large_pages(added, grad_residual.count() * sizeof(float));
  // What flows through the ReLU.
  const auto flow = [&](int64_t i) {
    const Floats value = load<Floats>(grad.as<const float>() + i);
    return relu ? (load<Floats>(after + i) > 0 ? value : Floats{}) : value;
  };

  const std::vector<double> sums = sum_rows(rows, channels, threads, [&](int64_t row, int64_t c, Floats& a, Floats& b) {
    const Floats value = flow(row * channels + c);
    a += value;
    b = fma(value, load<Floats>(from + row * channels + c) - load<Floats>(means + c), b);
  });
  // grad_x = factor (g - mean g - (x - mean) rstd^2 mean(g (x - mean))) = factor g + slope x + offset
  std::vector<float> factor(channels), slope(channels), offset(channels);
  for (int64_t c = 0; c < channels; ++c) {
    const double scale = rstd.as<float>()[c], f = weight.as<float>()[c] * scale;
    const double s = -f * scale * scale * sums[channels + c] / rows;
    grad_weight.as<float>()[c] = static_cast<float>(sums[channels + c] * scale);
    grad_bias.as<float>()[c] = static_cast<float>(sums[c]);
    factor[c] = static_cast<float>(f);
    slope[c] = static_cast<float>(s);
    offset[c] = static_cast<float>(-f * sums[c] / rows);
  }

  parallel_for((rows + kSlice - 1) / kSlice, threads, [&](int64_t slice) {
    for (int64_t row = slice * kSlice; row < std::min(rows, (slice + 1) * kSlice); ++row) {
      for (int64_t c = 0; c < channels; c += kLanes) {
        const int64_t i = row * channels + c;
        const Floats value = flow(i), difference = load<Floats>(from + i) - load<Floats>(means + c);
        const Floats rest = fma(difference, load<Floats>(&slope[c]), load<Floats>(&offset[c]));
        store(to + i, fma(value, load<Floats>(&factor[c]), rest));
        if (added != nullptr) store(added + i, value);
      }
    }
  });
}

}  // namespace dssm
