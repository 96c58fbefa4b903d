// SPDX-License-Identifier: Apache-2.0
// A 1x1 convolution: the product of pixels and weights, and what follows it while the sums are in registers.
#include <algorithm>

#include "convolution.h"
#include "cpu.h"
#include "product.h"

namespace dssm {
namespace {

constexpr int kPanel = kColumns * kLanes;           // results of one step of the product
constexpr int64_t kPixelFloats = int64_t{1} << 16;  // of pixels that stay in the cache while all weights pass

}  // namespace

void convolution_pointwise_cpu(const Array& x, const Array& panels, const Array& bias, const Array& added, float low,
                               float high, const Array& out, int threads) {
  const int64_t inputs = x.size[1], outputs = out.size[1], pixels = x.size[0] * x.size[2] * x.size[3];
  const int64_t share = (pixels + threads - 1) / threads;
  const int64_t size = (std::min(std::max<int64_t>(kPixelFloats / inputs, 48), share) + kRows - 1) / kRows * kRows;
  const Range range{low, high};
  prefer_large_pages(out.data, out.count() * sizeof(float));
  parallel_for((pixels + size - 1) / size, threads, [&](int64_t i) {
    const int64_t begin = i * size, count = std::min(size, pixels - begin);
    for (int64_t first = 0; first < outputs; first += kPanel) {
      const float* weights = panels.as<const float>() + first * inputs;
      const auto run = [&](auto columns, int64_t width) {
        for_rows(count, [&](auto rows, int64_t row) {
          const int64_t pixel = begin + row;
          const auto sums =
              multiply<rows, columns, Floats>(x.as<const float>() + pixel * inputs, inputs, 1, weights, kPanel, inputs);
          for (int r = 0; r < rows; ++r) {
            const int64_t at = (pixel + r) * outputs + first;
            for (int v = 0; v < columns; ++v) {
              const int64_t some = std::min<int64_t>(width - v * kLanes, kLanes), lane = v * kLanes;
              Floats value = sums[r][v] + load<Floats>(bias.as<const float>() + first + lane);
              if (added) value += load_floats(added.as<const float>() + at + lane, some);
              store_floats(out.as<float>() + at + lane, range.clamp(value), some);
            }
          }
        });
      };
      const int64_t width = std::min<int64_t>(kPanel, outputs - first);
      if (width > kLanes) {
        run(Constant<2>(), width);
      } else {
        run(Constant<1>(), width);
      }
    }
  });
}

}  // namespace dssm
