// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace dssm {

// One plane of Perlin noise, height x width, contiguous; see dssm/reference/perlin.py.
void perlin_plane(float* out, uint64_t index, const std::array<int64_t, 2>& size, uint64_t seed,
                  const std::array<int64_t, 2>& resolution, bool rotate);

// A plane per sample number; `stride` is that of `index`, in elements.
void perlin_cpu(const int64_t* index, int64_t stride, float* out, int64_t batch, const std::array<int64_t, 2>& size,
                uint64_t seed, const std::array<int64_t, 2>& resolution, bool rotate, int threads);

}  // namespace dssm
