// SPDX-License-Identifier: Apache-2.0
// Philox 4x32-10: random words as a pure function of (seed, sample index, stream, draw); see dssm/reference/philox.py.
#pragma once

#include <array>
#include <cstdint>

#include "device.h"

namespace dssm {

enum class Stream : uint32_t { gradient, shape, paste, augment };

DSSM_HOST_DEVICE inline std::array<uint32_t, 4> philox(uint64_t seed, uint64_t index, Stream stream, uint32_t draw) {
  uint32_t a = static_cast<uint32_t>(index), b = static_cast<uint32_t>(index >> 32);
  uint32_t c = static_cast<uint32_t>(stream), d = draw;
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = uint64_t{0xD2511F53} * a, second = uint64_t{0xCD9E8D57} * c;
    a = static_cast<uint32_t>(second >> 32) ^ b ^ key0;
    b = static_cast<uint32_t>(second);
    c = static_cast<uint32_t>(first >> 32) ^ d ^ key1;
    d = static_cast<uint32_t>(first);
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return {a, b, c, d};
}

// A multiple of 2^-24 in [0, 1).
DSSM_HOST_DEVICE inline float uniform(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

// An integer in [lo, hi).
DSSM_HOST_DEVICE inline int64_t integer(uint32_t word, int64_t lo, int64_t hi) {
  return lo + static_cast<int64_t>(uint64_t{word} * static_cast<uint64_t>(hi - lo) >> 32);
}

}  // namespace dssm
