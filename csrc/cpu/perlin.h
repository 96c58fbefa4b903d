// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "array.h"

namespace dssm {

// One plane of Perlin noise, height x width, contiguous; see dssm/reference/perlin.py.
void perlin_plane(float* out, uint64_t index, const std::array<int64_t, 2>& size, uint64_t seed,
                  const std::array<int64_t, 2>& resolution, bool rotate);

// A plane of `out` (batch, height, width), contiguous, for every sample number of `index`.
void perlin_cpu(const Array& index, const Array& out, uint64_t seed, const std::array<int64_t, 2>& resolution,
                bool rotate, int threads);

}  // namespace dssm
