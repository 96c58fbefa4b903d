// SPDX-License-Identifier: Apache-2.0
// Arithmetic of 16-bit lanes, in which bytes are mixed.
#pragma once

#include <type_traits>

#include "simd.h"

namespace dssm {

// Bytes as 16-bit lanes.
template <typename V>
inline Vector<uint16_t, lanes<V>> widen(V value) {
  static_assert(std::is_same_v<Lane<V>, uint8_t>);
  [[maybe_unused]] typedef Vector<uint16_t, lanes<V>> Result;
#if defined(DSSM_AVX512)
  if constexpr (sizeof(V) == 32) return (Result)_mm512_cvtepu8_epi16((__m256i)value);
#endif
#if defined(DSSM_AVX2)
  if constexpr (sizeof(V) == 16) return (Result)_mm256_cvtepu8_epi16((__m128i)value);
#endif
  if constexpr (sizeof(Result) > kNativeBytes) return join(widen(half<0>(value)), widen(half<1>(value)));
  return convert<uint16_t>(value);
}

// The upper half of every product of 16-bit lanes, signed or not.
template <typename V>
inline V multiply_high(V a, V b) {
  static_assert(sizeof(Lane<V>) == 2);
  [[maybe_unused]] constexpr bool kSigned = std::is_signed_v<Lane<V>>;
#if defined(DSSM_AVX512)
  if constexpr (sizeof(V) == 64 && kSigned) return (V)_mm512_mulhi_epi16((__m512i)a, (__m512i)b);
  if constexpr (sizeof(V) == 64 && !kSigned) return (V)_mm512_mulhi_epu16((__m512i)a, (__m512i)b);
#endif
#if defined(DSSM_AVX2)
  if constexpr (sizeof(V) == 32 && kSigned) return (V)_mm256_mulhi_epi16((__m256i)a, (__m256i)b);
  if constexpr (sizeof(V) == 32 && !kSigned) return (V)_mm256_mulhi_epu16((__m256i)a, (__m256i)b);
#endif
  if constexpr (sizeof(V) > kNativeBytes) {
    return join(multiply_high(half<0>(a), half<0>(b)), multiply_high(half<1>(a), half<1>(b)));
  }
  using Wide = std::conditional_t<kSigned, int32_t, uint32_t>;
  return convert<Lane<V>>(convert<Wide>(a) * convert<Wide>(b) >> 16);
}

// 16-bit lanes as bytes, those outside [0, 255] as the nearer end.
template <typename V>
inline Vector<uint8_t, lanes<V>> clip(V value) {
  static_assert(std::is_same_v<Lane<V>, int16_t>);
  [[maybe_unused]] typedef Vector<uint8_t, lanes<V>> Result;
#if defined(DSSM_AVX2)
  if constexpr (sizeof(V) == 32) {
    return (Result)_mm_packus_epi16((__m128i)half<0>(value), (__m128i)half<1>(value));
  }
#elif defined(DSSM_NEON)
  if constexpr (sizeof(V) == 16) return (Result)vqmovun_s16((int16x8_t)value);
#endif
  if constexpr (sizeof(V) > kNativeBytes) return join(clip(half<0>(value)), clip(half<1>(value)));
  return convert<uint8_t>(min(max(value, splat<V>(0)), splat<V>(255)));
}

}  // namespace dssm
