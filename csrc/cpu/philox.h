// SPDX-License-Identifier: Apache-2.0
// Philox for vectors.
#pragma once

#include <cstdint>

#include "../philox.h"
#include "simd.h"

namespace dssm {

// Word 0 of a draw per lane.
inline Vector<uint32_t> philox_first(uint64_t seed, uint64_t index, Stream stream, Vector<uint32_t> draw) {
  using Words = Vector<uint64_t>;
  // Words are the lower halves of 64-bit lanes; the upper halves hold what products left there, and nobody reads it.
  const auto words = [=](Words d) {
    auto a = splat<Words>(index), b = splat<Words>(index >> 32), c = splat<Words>(static_cast<uint64_t>(stream));
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const Words first = multiply_low(a, splat<Words>(0xD2511F53)), second = multiply_low(c, splat<Words>(0xCD9E8D57));
      a = (second >> 32) ^ b ^ key0;
      b = second;
      c = (first >> 32) ^ d ^ key1;
      d = first;
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
    return a;
  };
  const auto pairs = reinterpret_cast<Words>(draw);
  const Words even = words(pairs), odd = words(pairs >> 32);
  return reinterpret_cast<Vector<uint32_t>>((even & 0xFFFFFFFF) | odd << 32);
}

}  // namespace dssm
