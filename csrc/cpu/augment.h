// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace dssm {

// `count` RandAugment operations on every image, in place; see dssm/reference/augment.py. `image` is contiguous, `size`
// is (batch, channels, height, width) with 1 or 3 channels; `stride` is that of `index`, in elements.
void augment_cpu(uint8_t* image, const int64_t* index, int64_t stride, const std::array<int64_t, 4>& size,
                 uint64_t seed, int64_t count, int threads);

}  // namespace dssm
