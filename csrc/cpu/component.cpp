// SPDX-License-Identifier: Apache-2.0
// The largest component: bytes to bits, bits to runs, runs to components.
#include "component.h"

#include <algorithm>
#include <cstring>

#include "component_runs.h"
#include "cpu.h"

namespace dssm {

void component_cpu(const Array& mask, const Array& out, int connectivity, int threads) {
  parallel_for_with<Runs>(mask.size[0], threads, [&](int64_t b, Runs& runs) {
    const auto [batch, height, width] = sizes<3>(mask);
    runs.start(width, connectivity);
    for (int64_t y = 0; y < height; ++y) runs.add_row(mask.at<uint8_t>(b, y), mask.stride[2]);
    runs.find_largest();
    std::fill_n(out.at<uint8_t>(b), height * width, uint8_t{0});
    for (const auto& [y, begin, end] : runs.largest()) std::memset(out.at<uint8_t>(b, y, begin), 1, end - begin);
  });
}

}  // namespace dssm
