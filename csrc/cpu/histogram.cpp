// SPDX-License-Identifier: Apache-2.0
#include "histogram.h"

#include "order.h"

namespace dssm {

void histogram_cpu(const Array& scores, const Array& weights, const Array& bins) {
  const auto [batch, height, width] = sizes<3>(scores);
  double *normal = bins.at<double>(0), *defective = bins.at<double>(1), *weight = bins.at<double>(2);
  const int shift = 32 - __builtin_ctzll(bins.size[1]);
  visit<float, double, float16, bfloat16>(scores.type, [&, batch = batch, height = height, width = width](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
          const uint32_t bin = order(static_cast<float>(*scores.at<T>(b, y, x))) >> shift;
          const double w = *weights.at<double>(b, y, x);
          if (w == 0) {
            ++normal[bin];
          } else {
            ++defective[bin];
            weight[bin] += w;
          }
        }
      }
    }
  });
}

}  // namespace dssm
