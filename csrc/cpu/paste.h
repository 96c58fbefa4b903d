// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "array.h"

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

// PasteNoise, scars and patches; see dssm/reference/paste.py. `image` and `source` (batch, channels, height, width) may
// have any strides, `out`, `mask` and `alpha` are contiguous; `source` may be missing where no kind is noise. uint8 and
// all floating types.
void paste_cpu(const Array& image, const Array& source, const Array& index, const Array& kind, const Array& out,
               const Array& mask, const Array& alpha, const PasteSettings& settings, int threads);

// The gradients of the sum of grad * image pasted: of the image, and of the source if given; contiguous, floating.
void paste_backward_cpu(const Array& grad, const Array& index, const Array& kind, const Array& grad_image,
                        const Array& grad_source, const PasteSettings& settings, int threads);

}  // namespace dssm
