// SPDX-License-Identifier: Apache-2.0
#include "region.h"

#include <algorithm>

#include "component_runs.h"
#include "cpu.h"

namespace dssm {

void region_cpu(const Array& mask, const Array& out, int threads) {
  parallel_for_with<Runs>(mask.size[0], threads, [&](int64_t b, Runs& runs) {
    const auto [batch, height, width] = sizes<3>(mask);
    runs.start(width, 8);
    for (int64_t y = 0; y < height; ++y) runs.add_row(mask.at<uint8_t>(b, y), mask.stride[2]);
    std::fill_n(out.at<double>(b), height * width, 0.0);
    runs.for_spans([&](Runs::Span span, int64_t area) {
      std::fill_n(out.at<double>(b, span.y, span.begin), span.end - span.begin, 1.0 / area);
    });
  });
}

}  // namespace dssm
