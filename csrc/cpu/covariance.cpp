// SPDX-License-Identifier: Apache-2.0
// Chan, Golub and LeVeque's update: the scatter of the new vectors about their own mean, and the two means' distance,
// which is added as one vector more. Lanes hold channels.
#include "covariance.h"

#include <algorithm>
#include <cmath>

#include "cpu.h"
#include "gather.h"
#include "product.h"
#include "workspace.h"

namespace dssm {
namespace {

using Doubles = Vector<double>;

constexpr int64_t kSamples = 64;    // at a time
constexpr int64_t kPositions = 64;  // whole lines and pages of a channel
constexpr int64_t kBand = 8 * kRows;

int64_t padded(int64_t channels) { return (channels + kLanes - 1) / kLanes * kLanes; }

// Rows: the vectors less their mean, and what remains of the mean less the old one; `mean` becomes that of all.
template <typename T>
void centre(const T* values, int64_t samples, int64_t channels, int64_t count, double* mean, double* rows) {
  const int64_t width = padded(channels);
  const double total = static_cast<double>(count + samples), weight = std::sqrt(count * (samples / total));
  double* last = rows + samples * width;
  std::fill_n(last, width, 0.0);
  for (int64_t i = 0; i < samples; ++i) {
    for (int64_t c = 0; c < width; ++c) last[c] += values[i * width + c];
  }
  for (int64_t c = 0; c < width; ++c) last[c] /= samples;
  for (int64_t i = 0; i < samples; ++i) {
    for (int64_t c = 0; c < width; ++c) rows[i * width + c] = values[i * width + c] - last[c];
  }
  for (int64_t c = 0; c < channels; ++c) {
    const double delta = last[c] - mean[c];
    mean[c] += delta * (samples / total);
    last[c] = delta * weight;
  }
}

// scatter += rows^T rows, in the rows [first, first + size) and as far as the diagonal at least.
void add_products(const double* rows, int64_t count, int64_t channels, double* scatter, int64_t first, int64_t size) {
  const int64_t width = padded(channels);
  for_rows(size, [&](auto height, int64_t offset) {
    const int64_t i = first + offset;
    constexpr int64_t kStep = kColumns * lanes<Doubles>;
    for (int64_t j = 0; j < i + height; j += kStep) {
      // While the product is made, what it will be added to comes from memory.
      for (int r = 0; r < height; ++r) __builtin_prefetch(scatter + (i + r) * channels + j, 1);
      const auto sums = multiply<height, kColumns, Doubles>(rows + i, 1, width, rows + j, width, count);
      for (int r = 0; r < height; ++r) {
        double* to = scatter + (i + r) * channels + j;
        if (j + kStep <= channels) {
          for (int v = 0; v < kColumns; ++v) {
            store(to + v * lanes<Doubles>, load<Doubles>(to + v * lanes<Doubles>) + sums[r][v]);
          }
        } else {
          for (int64_t c = 0; c < channels - j; ++c) to[c] += sums[r][c / lanes<Doubles>][c % lanes<Doubles>];
        }
      }
    }
  });
}

template <typename T>
void covariance(const Array& x, double* mean, double* scatter, int64_t count, int threads) {
  using R = Real<T>;
  const auto [batch, channels, height, width] = sizes<4>(x);
  const int64_t line = x.stride[2] == width * x.stride[3] ? height * width : width;  // positions of equal distance
  const int64_t chunks = line ? (line + kPositions - 1) / kPositions : 0, lines = chunks ? height * width / line : 0;
  const int64_t bands = (channels + kBand - 1) / kBand, columns = padded(channels);
  parallel_for(lines * chunks, threads, [&, batch = batch, channels = channels](int64_t i) {
    const int64_t row = i / chunks, column = i % chunks * kPositions, positions = std::min(kPositions, line - column);
    const int64_t most = std::min(kSamples, batch);
    const Workspace gathered(positions * most * columns * sizeof(R) / sizeof(float));
    const Workspace centred((most + 1) * columns * sizeof(double) / sizeof(float));
    R* values = reinterpret_cast<R*>(gathered.data());
    double* rows = reinterpret_cast<double*>(centred.data());
    for (int64_t first = 0; first < batch; first += kSamples) {
      const int64_t samples = std::min(kSamples, batch - first);
      gather(x.at<T>(first, 0, row, column), {channels, x.stride[1]}, {samples, x.stride[0]}, {positions, x.stride[3]},
             [&](int64_t position, int64_t sample, int64_t channel, auto value) {
               store(values + (position * samples + sample) * columns + channel, value);
             });
      for (int64_t p = 0; p < positions; ++p) {
        const int64_t position = row * line + column + p;
        centre(values + p * samples * columns, samples, channels, count + first, mean + position * channels, rows);
        parallel_for(bands, lines * chunks == 1 ? threads : 1, [&](int64_t band) {
          add_products(rows, samples + 1, channels, scatter + position * channels * channels, band * kBand,
                       std::min(kBand, channels - band * kBand));
        });
      }
    }
  });
}

}  // namespace

void covariance_cpu(const Array& x, const Array& mean, const Array& scatter, int64_t count, int threads) {
  Array map = x;
  if (x.dims == 2) {  // vectors are maps of one position
    map.size[2] = map.size[3] = 1;
    map.stride[2] = map.stride[3] = 0;
  }
  visit<float, double, float16, bfloat16>(x.type, [&](auto tag) {
    covariance<typename decltype(tag)::type>(map, mean.as<double>(), scatter.as<double>(), count, threads);
  });
}

}  // namespace dssm
