// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "array.h"

namespace dssm {

struct PasteSettings {
  uint64_t seed;
  float threshold;
  std::array<int64_t, 2> alpha;       // in 1/65536
  std::array<int64_t, 2> resolution;  // exponents
  std::array<int64_t, 2> area;        // least and most pixels of a mask
  int connectivity;
};

// PasteNoise, scars and patches; see dssm/reference/paste.py. Everything is contiguous; `image`, `source` and `out` are
// (batch, channels, height, width), `kind` holds 0 noise, 1 scar, 2 patch; `source` may be null where none is noise.
// uint8, float32 and float64.
void paste_cpu(const Array& image, const Array& source, const Array& index, const Array& kind, const Array& out,
               const Array& mask, const Array& alpha, const PasteSettings& settings, int threads);

}  // namespace dssm
