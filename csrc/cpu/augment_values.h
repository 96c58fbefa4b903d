// SPDX-License-Identifier: Apache-2.0
// The arithmetic of the RandAugment operations on runs of values, equal to Pillow bit for bit, in lanes of 8 and 16
// bits. `to` may be `from`.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "simd_words.h"

namespace dssm {

using Bytes = Vector<uint8_t>;
using Shorts = Vector<int16_t>;
using Words = Vector<uint16_t>;

// As many bytes as there are 16-bit lanes.
using Pixels = Vector<uint8_t, lanes<Words>>;

// Calls write(i, read(i, n), n) for values i to i + n, N at a time. The last N overlap those before them, so they are
// read first: the results may replace them.
template <int N, typename Read, typename Write>
[[gnu::always_inline]] inline void transform(int64_t count, Read read, Write write) {
  constexpr std::integral_constant<int64_t, N> all;
  if (count < N) return write(0, read(0, count), count);
  const auto last = read(count - N, all);
  for (int64_t i = 0; i + N < count; i += N) write(i, read(i, all), all);
  write(count - N, last, all);
}

template <typename V, typename Function>
void map(const uint8_t* from, uint8_t* to, int64_t count, Function f) {
  transform<lanes<V>>(
      count, [=](int64_t i, auto n) { return load<V>(from + i, n); },
      [=](int64_t i, V value, auto n) { store(to + i, f(value), n); });
}

// The highest bits.
inline void keep_bits(const uint8_t* from, uint8_t* to, int64_t count, int bits) {
  const auto mask = static_cast<uint8_t>(0xFF00 >> bits);
  map<Bytes>(from, to, count, [=](Bytes value) { return value & mask; });
}

inline void invert_from(const uint8_t* from, uint8_t* to, int64_t count, int threshold) {
  const Bytes least = splat<Bytes>(static_cast<uint8_t>(threshold));
  map<Bytes>(from, to, count, [=](Bytes value) { return value < least ? value : ~value; });
}

// factor / 256 value, cut to an integer and clipped; factor < 512.
inline void brighten(const uint8_t* from, uint8_t* to, int64_t count, int factor) {
  const Words scale = splat<Words>(static_cast<uint16_t>(factor));
  map<Pixels>(from, to, count,
              [=](Pixels value) { return clip(reinterpret_cast<Shorts>(multiply_high(widen(value) << 8, scale))); });
}

// degenerate + factor / 256 (value - degenerate), cut to an integer and clipped; factor < 512.
class Enhance {
 public:
  explicit Enhance(int factor) : scale_(splat<Shorts>(static_cast<int16_t>(2 * factor))) {}

  Pixels operator()(Words degenerate, Words value) const {
    const Shorts away = reinterpret_cast<Shorts>((value - degenerate) << 7);
    return clip(reinterpret_cast<Shorts>(degenerate) + multiply_high(away, scale_));
  }

 private:
  Shorts scale_;
};

// Pillow's grey: 19595 red + 38470 green + 7471 blue + 32768, over 65536, from the two bytes of each weight.
class Grey {
 public:
  Grey() {
    // Read, not known: of known weights the compiler makes shifts and sums, three times as slow as products.
    static const volatile uint16_t kWeights[] = {19595, 38470, 7471};
    for (int c = 0; c < 3; ++c) {
      const uint16_t weight = kWeights[c];
      low_[c] = splat<Words>(weight & 255);
      high_[c] = splat<Words>(weight >> 8);
    }
  }

  Words operator()(Words red, Words green, Words blue) const {
    const Words low = low_[0] * red + low_[1] * green + low_[2] * blue;
    const Words high = high_[0] * red + high_[1] * green + high_[2] * blue + 128;
    return (high + (low >> 8)) >> 8;
  }

 private:
  Words low_[3], high_[3];
};

// The channels of a run of pixels.
using From = std::array<const uint8_t*, 3>;
using To = std::array<uint8_t*, 3>;

inline void recolor(const From& from, const To& to, int64_t count, int factor) {
  transform<lanes<Pixels>>(
      count,
      [=](int64_t i, auto n) {
        return std::array{load<Pixels>(from[0] + i, n), load<Pixels>(from[1] + i, n), load<Pixels>(from[2] + i, n)};
      },
      [to, grey = Grey(), enhance = Enhance(factor)](int64_t i, const std::array<Pixels, 3>& pixels, auto n) {
        const Words neutral = grey(widen(pixels[0]), widen(pixels[1]), widen(pixels[2]));
        for (int c = 0; c < 3; ++c) store(to[c] + i, enhance(neutral, widen(pixels[c])), n);
      });
}

}  // namespace dssm
