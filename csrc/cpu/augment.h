// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "array.h"

namespace dssm {

// `count` drawn RandAugment operations on every image; see dssm/reference/augment.py. `image` is (batch, channels,
// height, width) with 1 or 3 channels and any strides; `out` is contiguous.
void augment_cpu(const Array& image, const Array& index, const Array& out, uint64_t seed, int64_t count, int threads);

// One operation, by its position in the reference's OPERATIONS, on every image.
void augment_operation_cpu(const Array& image, const Array& out, int operation, int magnitude, int threads);

}  // namespace dssm
