// SPDX-License-Identifier: Apache-2.0
// The largest component: bytes to bits, bits to runs, runs to components.
#include "component.h"

#include <cstring>
#include <vector>

#include "component_runs.h"
#include "cpu.h"
#include "simd.h"

namespace dssm {
namespace {

using Bytes = Vector<uint8_t>;

// 64 bytes of a mask as bits.
uint64_t pack(const uint8_t* mask) {
  uint64_t word = 0;
  for (int i = 0; i < 64; i += kVectorBytes) word |= bits(load<Bytes>(mask + i) != 0) << i;
  return word;
}

void pack_row(const uint8_t* mask, int64_t width, int64_t stride, uint64_t* words) {
  uint8_t buffer[64] = {};
  for (int64_t x = 0; x < width; x += 64, mask += 64 * stride) {
    if (stride == 1 && x + 64 <= width) {
      *words++ = pack(mask);
      continue;
    }
    for (int64_t i = 0; i < 64; ++i) buffer[i] = x + i < width ? mask[i * stride] : 0;
    *words++ = pack(buffer);
  }
}

}  // namespace

void component_cpu(const Array& mask, const Array& out, int connectivity, int threads) {
  struct Workspace {
    Runs runs;
    std::vector<uint64_t> words;
  };
  parallel_for_with<Workspace>(mask.size[0], threads, [&](int64_t b, Workspace& work) {
    const auto [batch, height, width] = sizes<3>(mask);
    work.words.resize((width + 63) / 64);
    work.runs.start(width, connectivity);
    for (int64_t y = 0; y < height; ++y) {
      pack_row(mask.at<uint8_t>(b, y), width, mask.stride[2], work.words.data());
      work.runs.add_row(work.words.data());
    }
    work.runs.find_largest();
    std::memset(out.at<uint8_t>(b), 0, height * width);
    for (const auto& [y, begin, end] : work.runs.largest()) std::memset(out.at<uint8_t>(b, y, begin), 1, end - begin);
  });
}

}  // namespace dssm
