// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace dssm {

struct PasteSettings {
  uint64_t seed;
  float threshold;
  std::array<int64_t, 2> alpha;       // in 1/65536
  std::array<int64_t, 2> resolution;  // exponents
  std::array<int64_t, 2> area;        // least and most pixels of a mask
  int connectivity;
};

// PasteNoise, scars and patches; see dssm/reference/paste.py. Everything is contiguous, `size` is (batch, channels,
// height, width), `kind` holds 0 noise, 1 scar, 2 patch; `source` may be null where none is noise. Instantiated for
// uint8_t, float and double.
template <typename Pixel>
void paste_cpu(const Pixel* image, const Pixel* source, const int64_t* index, const int64_t* kind, Pixel* out,
               uint8_t* mask, float* alpha, const std::array<int64_t, 4>& size, const PasteSettings& settings,
               int threads);

}  // namespace dssm
