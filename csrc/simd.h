// SPDX-License-Identifier: Apache-2.0
// Vectors of the width that the level is compiled for: the compiler's own vector types, on which + - * / < == & | ?:
// work lane by lane, and the few operations that they lack. Every function here has a portable form; intrinsics only
// where the compiler does not find the instruction itself.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "half.h"

#if defined(__AVX2__)
#include <immintrin.h>
#define DSSM_AVX2 1
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define DSSM_AVX512 1
#endif
#elif defined(__ARM_NEON) && defined(__aarch64__) && !defined(DSSM_PORTABLE)
#include <arm_neon.h>
#define DSSM_NEON 1
#endif

namespace dssm {

// Bytes of the vector that the processor has.
#if defined(DSSM_AVX512)
constexpr int kNativeBytes = 64;
#elif defined(DSSM_AVX2)
constexpr int kNativeBytes = 32;
#else
constexpr int kNativeBytes = 16;
#endif

// Bytes of the vectors that the kernels use. -DDSSM_VECTOR_BYTES=64 runs the code of wide vectors where there are none:
// a wider Vector is several of the processor's.
#if !defined(DSSM_VECTOR_BYTES)
#if defined(DSSM_AVX512)
#define DSSM_VECTOR_BYTES 64
#elif defined(DSSM_AVX2)
#define DSSM_VECTOR_BYTES 32
#else
#define DSSM_VECTOR_BYTES 16
#endif
#endif
constexpr int kVectorBytes = DSSM_VECTOR_BYTES;

// Vector registers, to size blocks of accumulators; wide vectors come with as many as AVX-512 has, so that its blocks
// are tested where it is not.
#if DSSM_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif

template <typename T, int N>
struct VectorOf {
  typedef T type __attribute__((vector_size(N * sizeof(T))));
};
template <typename T, int N = kVectorBytes / sizeof(T)>
using Vector = typename VectorOf<T, N>::type;

// As many 32-bit lanes as fit; comparisons of `Floats` yield `Ints` of 0 and -1.
constexpr int kLanes = kVectorBytes / 4;
using Floats = Vector<float>;
using Ints = Vector<int32_t>;

template <typename V>
using Lane = std::remove_cv_t<std::remove_reference_t<decltype(std::declval<V&>()[0])>>;
template <typename V>
constexpr int lanes = sizeof(V) / sizeof(Lane<V>);

template <typename V>
inline V splat(Lane<V> value) {
  return value - V{};  // x - 0 is x, -0 and NaN included
}

template <typename V>
inline V load(const Lane<V>* from) {
  V result;
  std::memcpy(&result, from, sizeof(V));
  return result;
}

template <typename V>
inline void store(Lane<V>* to, V value) {
  std::memcpy(to, &value, sizeof(V));
}

// The first `count` lanes, 0 <= count <= lanes; nothing behind them is touched. The other lanes are zero.
template <typename V>
inline V load(const Lane<V>* from, int64_t count) {
  V result{};
  std::memcpy(&result, from, count * sizeof(Lane<V>));
  return result;
}

template <typename V>
inline void store(Lane<V>* to, V value, int64_t count) {
  std::memcpy(to, &value, count * sizeof(Lane<V>));
}

// Half of a vector, and two halves as one.
template <int Half, typename V>
inline Vector<Lane<V>, lanes<V> / 2> half(V value) {
  Vector<Lane<V>, lanes<V> / 2> result;
  std::memcpy(&result, reinterpret_cast<const char*>(&value) + Half * sizeof(result), sizeof(result));
  return result;
}

template <typename V>
inline Vector<Lane<V>, 2 * lanes<V>> join(V low, V high) {
  Vector<Lane<V>, 2 * lanes<V>> result;
  std::memcpy(&result, &low, sizeof(V));
  std::memcpy(reinterpret_cast<char*>(&result) + sizeof(V), &high, sizeof(V));
  return result;
}

template <typename V>
inline V min(V a, V b) {
  return a < b ? a : b;
}

template <typename V>
inline V max(V a, V b) {
  return a > b ? a : b;
}

// Truncates, like a cast; the lanes must fit.
template <typename To, typename From>
inline Vector<To, lanes<From>> convert(From value) {
  return __builtin_convertvector(value, Vector<To, lanes<From>>);
}

// a * b + c, rounded once where the processor can and twice where it cannot.
template <typename V>
inline V fma(V a, V b, V c) {
#if defined(DSSM_AVX512)
  if constexpr (std::is_same_v<V, Vector<float, 16>>) return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
  if constexpr (std::is_same_v<V, Vector<double, 8>>) return (V)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#endif
#if defined(DSSM_AVX2)
  if constexpr (std::is_same_v<V, Vector<float, 8>>) return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
  if constexpr (std::is_same_v<V, Vector<double, 4>>) return (V)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
  if constexpr (std::is_same_v<V, Vector<float, 4>>) return (V)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c);
#elif defined(DSSM_NEON)
  if constexpr (std::is_same_v<V, Vector<float, 4>>) {
    return (V)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
  }
  if constexpr (std::is_same_v<V, Vector<double, 2>>) {
    return (V)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
  }
#endif
  if constexpr (sizeof(V) > kNativeBytes) {
    return join(fma(half<0>(a), half<0>(b), half<0>(c)), fma(half<1>(a), half<1>(b), half<1>(c)));
  }
  return a * b + c;
}

// Correctly rounded. The loop becomes the vector instruction: nothing looks at errno (-fno-math-errno).
template <typename V>
inline V sqrt(V value) {
  for (int i = 0; i < lanes<V>; ++i) value[i] = std::sqrt(value[i]);
  return value;
}

// Bit i tells whether lane i is set; a lane is 0 or -1. At most 64 lanes.
template <typename V>
inline uint64_t bits(V mask) {
  static_assert(lanes<V> <= 64);
  [[maybe_unused]] constexpr int kLaneBytes = sizeof(Lane<V>);
#if defined(DSSM_AVX512)
  if constexpr (sizeof(V) == 64 && kLaneBytes == 8) return _mm512_movepi64_mask((__m512i)mask);
  if constexpr (sizeof(V) == 64 && kLaneBytes == 4) return _mm512_movepi32_mask((__m512i)mask);
  if constexpr (sizeof(V) == 64 && kLaneBytes == 1) return _mm512_movepi8_mask((__m512i)mask);
#endif
#if defined(DSSM_AVX2)
  if constexpr (sizeof(V) == 32 && kLaneBytes == 8) return static_cast<uint32_t>(_mm256_movemask_pd((__m256d)mask));
  if constexpr (sizeof(V) == 32 && kLaneBytes == 4) return static_cast<uint32_t>(_mm256_movemask_ps((__m256)mask));
  if constexpr (sizeof(V) == 32 && kLaneBytes == 1) return static_cast<uint32_t>(_mm256_movemask_epi8((__m256i)mask));
#elif defined(DSSM_NEON)
  if constexpr (sizeof(V) == 16 && kLaneBytes == 4) {
    return vaddvq_u32(vandq_u32((uint32x4_t)mask, uint32x4_t{1, 2, 4, 8}));
  }
#endif
  if constexpr (sizeof(V) > kNativeBytes) return bits(half<0>(mask)) | bits(half<1>(mask)) << lanes<V> / 2;
  uint64_t result = 0;
  for (int i = 0; i < lanes<V>; ++i) result |= static_cast<uint64_t>(mask[i] & 1) << i;
  return result;
}

template <typename V>
inline bool any(V mask) {
  return bits(mask) != 0;
}

// The sum of the lanes, added by halves: the same order whatever it is compiled for.
template <typename V>
inline Lane<V> sum(V value) {
  if constexpr (lanes<V> == 1) {
    return value[0];
  } else {
    return sum(half<0>(value) + half<1>(value));
  }
}

// As many bytes as an Ints has lanes, as integers; and back, the lanes in [0, 255].
inline Ints load_ints(const uint8_t* from) {
#if defined(DSSM_AVX512) && DSSM_VECTOR_BYTES == 64
  return (Ints)_mm512_maskz_cvtepu8_epi32(0xFFFF, _mm_loadu_si128((const __m128i*)from));
#elif defined(DSSM_AVX2) && DSSM_VECTOR_BYTES == 32
  return (Ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)from));
#else
  return convert<int32_t>(load<Vector<uint8_t, kLanes>>(from));
#endif
}

inline void store_ints(uint8_t* to, Ints value) {
#if defined(DSSM_AVX512) && DSSM_VECTOR_BYTES == 64
  _mm_storeu_si128((__m128i*)to, _mm512_maskz_cvtepi32_epi8(0xFFFF, (__m512i)value));
#elif defined(DSSM_AVX2) && DSSM_VECTOR_BYTES == 32
  const __m128i words = _mm_packus_epi32((__m128i)half<0>(value), (__m128i)half<1>(value));
  _mm_storel_epi64((__m128i*)to, _mm_packus_epi16(words, words));
#else
  store(to, convert<uint8_t>(value));
#endif
}

// As many values as a Floats has lanes, of any element type, as floats; and back, rounded to nearest.
template <typename T>
inline Floats load_floats(const T* from) {
  if constexpr (std::is_same_v<T, float>) {
    return load<Floats>(from);
  } else if constexpr (std::is_same_v<T, bfloat16>) {
    const auto words = load<Vector<uint16_t, kLanes>>(&from->bits);
    return reinterpret_cast<Floats>(convert<uint32_t>(words) << 16);
  } else if constexpr (std::is_same_v<T, float16>) {
#if defined(DSSM_AVX512) && DSSM_VECTOR_BYTES == 64
    return (Floats)_mm512_maskz_cvtph_ps(0xFFFF, _mm256_loadu_si256((const __m256i*)from));
#elif defined(DSSM_AVX2) && DSSM_VECTOR_BYTES == 32
    return (Floats)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from));
#elif defined(DSSM_NEON) && DSSM_VECTOR_BYTES == 16
    return (Floats)vcvt_f32_f16(vld1_f16((const __fp16*)from));
#else
    Floats result;
    for (int i = 0; i < kLanes; ++i) result[i] = from[i];
    return result;
#endif
  } else if constexpr (std::is_same_v<T, uint8_t>) {
    return convert<float>(load_ints(from));
  } else {
    return convert<float>(convert<int32_t>(load<Vector<T, kLanes>>(from)));
  }
}

template <typename T>
inline void store_floats(T* to, Floats value) {
  if constexpr (std::is_same_v<T, float>) {
    store(to, value);
  } else if constexpr (std::is_same_v<T, float16>) {
#if defined(DSSM_AVX512) && DSSM_VECTOR_BYTES == 64
    _mm256_storeu_si256((__m256i*)to, _mm512_maskz_cvtps_ph(0xFFFF, (__m512)value, _MM_FROUND_TO_NEAREST_INT));
#elif defined(DSSM_AVX2) && DSSM_VECTOR_BYTES == 32
    _mm_storeu_si128((__m128i*)to, _mm256_cvtps_ph((__m256)value, _MM_FROUND_TO_NEAREST_INT));
#elif defined(DSSM_NEON) && DSSM_VECTOR_BYTES == 16
    vst1_f16((__fp16*)to, vcvt_f16_f32((float32x4_t)value));
#else
    for (int i = 0; i < kLanes; ++i) to[i] = value[i];
#endif
  } else {
    for (int i = 0; i < kLanes; ++i) to[i] = static_cast<T>(value[i]);
  }
}

// The same for the first `count` values.
template <typename T>
inline Floats load_floats(const T* from, int64_t count) {
  if (count >= kLanes) return load_floats(from);
  T buffer[kLanes] = {};
  std::memcpy(static_cast<void*>(buffer), from, count * sizeof(T));
  return load_floats(buffer);
}

template <typename T>
inline void store_floats(T* to, Floats value, int64_t count) {
  if (count >= kLanes) return store_floats(to, value);
  T buffer[kLanes];
  store_floats(buffer, value);
  std::memcpy(static_cast<void*>(to), buffer, count * sizeof(T));
}

// The whole 64-bit products of the lower halves of 64-bit lanes; what the upper halves hold does not matter.
template <typename V>
inline V multiply_low(V a, V b) {
  static_assert(std::is_same_v<Lane<V>, uint64_t>);
  if constexpr (sizeof(V) > kNativeBytes) {
    return join(multiply_low(half<0>(a), half<0>(b)), multiply_low(half<1>(a), half<1>(b)));
  }
#if defined(DSSM_AVX512)
  if constexpr (sizeof(V) == 64) return (V)_mm512_maskz_mul_epu32(0xFF, (__m512i)a, (__m512i)b);
#endif
#if defined(DSSM_AVX2)
  if constexpr (sizeof(V) == 32) return (V)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(DSSM_NEON)
  if constexpr (sizeof(V) == 16) return (V)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#endif
  return (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF);
}

// The integers as wide as the lanes: what comparisons of V yield.
template <typename V>
using Masks = decltype(std::declval<V>() < std::declval<V>());

// e^x within two units of the last place, from -87.3, below which it stays at that value, to 88.3, above which it is
// inf. NaN stays NaN.
inline Floats exp(Floats x) {
  const Floats low = splat<Floats>(-87.3f), high = splat<Floats>(89.0f), magic = splat<Floats>(0x1.8p23f);
  x = min(high, max(low, x));                                                // in this order of arguments a NaN is kept
  const Floats power = fma(x, splat<Floats>(0x1.715476p0f), magic) - magic;  // x / ln 2, rounded to an integer
  Floats rest = fma(power, splat<Floats>(-0x1.62e4p-1f), x);                 // ln 2 in two parts
  rest = fma(power, splat<Floats>(-0x1.7f7d1cp-20f), rest);
  Floats series = splat<Floats>(0x1.6a2352p-10f);  // minimax for (e^r - 1 - r) / r^2, |r| <= ln 2 / 2
  for (const float coefficient : {0x1.123a6cp-7f, 0x1.5558f4p-5f, 0x1.555490p-3f, 0x1.fffffcp-2f}) {
    series = fma(series, rest, splat<Floats>(coefficient));
  }
  series = fma(series * rest, rest, rest + 1.0f);
  return series * reinterpret_cast<Floats>((convert<int32_t>(power) + 127) << 23);
}

}  // namespace dssm
