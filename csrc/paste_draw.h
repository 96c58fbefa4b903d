// SPDX-License-Identifier: Apache-2.0
// What a sample of PasteNoise draws beside its mask; CPU and CUDA kernels share it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

#include "mix.h"
#include "philox.h"

namespace dssm {

enum Kind : int64_t { noise, scar, patch };  // positions in KINDS of dssm/reference/paste.py

struct PasteSettings {
  uint64_t seed;
  float threshold;
  std::array<int64_t, 2> alpha;       // in 1/65536
  std::array<int64_t, 2> resolution;  // exponents
  std::array<int64_t, 2> area;        // least and most pixels of a mask
  int connectivity;
};

constexpr int kPasteSteps = 32;  // how often a level moves in search of the area asked for

// What the original weighs inside the mask, in 1/65536.
DSSM_HOST_DEVICE inline int64_t noise_weight(uint64_t index, const PasteSettings& settings) {
  return integer(philox(settings.seed, index, Stream::paste, 0)[0], settings.alpha[0], settings.alpha[1] + 1);
}

// The gain of a channel, in 1/256.
DSSM_HOST_DEVICE inline int64_t gain(uint64_t index, Kind kind, int64_t channel, const PasteSettings& settings) {
  if (kind != scar) return 256;
  const auto draw = static_cast<uint32_t>(2 + channel / 4);
  return integer(philox(settings.seed, index, Stream::paste, draw)[channel % 4], 230, 283);
}

template <typename Pixel>
DSSM_HOST_DEVICE Pixel tint(Pixel value, int64_t gain) {
  if constexpr (std::is_same_v<Pixel, uint8_t>) {
    return static_cast<uint8_t>(std::min<int64_t>((value * gain + 128) >> 8, 255));
  } else {
    return static_cast<Pixel>(static_cast<Exact<Pixel>>(value) * (static_cast<Exact<Pixel>>(gain) / 256));
  }
}

}  // namespace dssm
