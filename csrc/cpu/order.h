// SPDX-License-Identifier: Apache-2.0
// Scores as unsigned integers of the same order, zeros of both signs as one.
#pragma once

#include <cstdint>

#include "half.h"

namespace dssm {

// Negative numbers have their sign bit set and count backwards: all bits are turned over; of the others the sign bit.
inline uint32_t order(float score) {
  const uint32_t bits = bit_cast<uint32_t>(score + 0.0f);
  return bits ^ (static_cast<uint32_t>(static_cast<int32_t>(bits) >> 31) | 0x80000000);
}

inline uint64_t order(double score) {
  const uint64_t bits = bit_cast<uint64_t>(score + 0.0);
  return bits ^ (static_cast<uint64_t>(static_cast<int64_t>(bits) >> 63) | 0x8000000000000000);
}

}  // namespace dssm
