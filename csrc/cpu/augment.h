// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "array.h"

namespace dssm {

// `count` RandAugment operations on every image, in place; see dssm/reference/augment.py. `image` is contiguous,
// (batch, channels, height, width) with 1 or 3 channels.
void augment_cpu(const Array& image, const Array& index, uint64_t seed, int64_t count, int threads);

}  // namespace dssm
