// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "array.h"
#include "paste_draw.h"

namespace dssm {

// PasteNoise, scars and patches; see dssm/reference/paste.py. `image` and `source` (batch, channels, height, width) may
// have any strides, `out`, `mask` and `alpha` are contiguous; `source` may be missing where no kind is noise. uint8 and
// all floating types.
void paste_cpu(const Array& image, const Array& source, const Array& index, const Array& kind, const Array& out,
               const Array& mask, const Array& alpha, const PasteSettings& settings, int threads);

// The gradients of the sum of grad * image pasted: of the image, and of the source if given; contiguous, floating.
void paste_backward_cpu(const Array& grad, const Array& index, const Array& kind, const Array& grad_image,
                        const Array& grad_source, const PasteSettings& settings, int threads);

}  // namespace dssm
