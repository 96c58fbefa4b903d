// SPDX-License-Identifier: Apache-2.0
// The 16-bit floating types as they lie in memory. Kernels compute in float; see simd.h for many at once.
#pragma once

#include <cstdint>
#include <cstring>

#include "device.h"

namespace dssm {

template <typename To, typename From>
DSSM_HOST_DEVICE To bit_cast(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  std::memcpy(&result, &value, sizeof(To));
  return result;
}

// The upper half of a float. Conversions round to nearest, ties to even, and keep a NaN a NaN.
struct bfloat16 {
  uint16_t bits;

  bfloat16() = default;
  DSSM_HOST_DEVICE bfloat16(float value) {
    const uint32_t word = bit_cast<uint32_t>(value);
    bits = value != value ? 0x7FC0 : static_cast<uint16_t>((word + 0x7FFF + (word >> 16 & 1)) >> 16);
  }
  DSSM_HOST_DEVICE operator float() const { return bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

// IEEE half precision: 5 bits of exponent, 10 of fraction.
struct float16 {
  uint16_t bits;

  float16() = default;
  DSSM_HOST_DEVICE float16(float value) {
    const uint32_t word = bit_cast<uint32_t>(value), sign = word >> 16 & 0x8000;
    const float size = bit_cast<float>(word & 0x7FFFFFFF);
    if (!(size < 65520.0f)) {
      bits = static_cast<uint16_t>(sign | (size != size ? 0x7E00 : 0x7C00));
    } else if (size < 0x1p-14f) {
      // Adding 1/2 leaves the fraction of a subnormal half in the last bits, rounded by the processor.
      bits = static_cast<uint16_t>(sign | (bit_cast<uint32_t>(size + 0.5f) - 0x3F000000));
    } else {
      const uint32_t rounded = (word & 0x7FFFFFFF) - 0x38000000 + 0xFFF + (word >> 13 & 1);
      bits = static_cast<uint16_t>(sign | rounded >> 13);
    }
  }
  DSSM_HOST_DEVICE operator float() const {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16, rest = bits & 0x7FFF;
    if (rest >= 0x7C00) return bit_cast<float>(sign | 0x7F800000 | (rest & 0x3FF) << 13);
    // 2^112 moves the exponent from half's bias to float's; exact for subnormals too.
    return bit_cast<float>(bit_cast<uint32_t>(bit_cast<float>(rest << 13) * 0x1p112f) | sign);
  }
};

}  // namespace dssm
