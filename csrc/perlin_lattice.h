// SPDX-License-Identifier: Apache-2.0
// Where the pixels of an image lie on the lattice of its noise; CPU and CUDA kernels share it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "device.h"
#include "philox.h"

namespace dssm {

// Pixel (y, x) lies at origin + y * per_y + x * per_x, in 2^-32 cells.
struct LatticeAxis {
  int64_t origin, per_y, per_x;

  DSSM_HOST_DEVICE int64_t operator()(int64_t y, int64_t x) const { return origin + y * per_y + x * per_x; }
};

// See `placement` in dssm/reference/perlin.py.
struct Lattice {
  std::array<LatticeAxis, 2> axes;      // rows and columns of the lattice
  std::array<int64_t, 2> first, nodes;  // the first node that the image needs, and how many

  Lattice() = default;

  DSSM_HOST_DEVICE Lattice(uint64_t index, uint64_t seed, const std::array<int64_t, 2>& size,
                           const std::array<int64_t, 2>& resolution, bool rotate) {
    constexpr double kPi = 3.14159265358979323846;
    const auto words = philox(seed, index, Stream::shape, 0);
    const double height = static_cast<double>(size[0]), width = static_cast<double>(size[1]);
    const double rows = std::ldexp(1.0, static_cast<int>(integer(words[0], resolution[0], resolution[1]))) / height;
    const double columns = std::ldexp(1.0, static_cast<int>(integer(words[1], resolution[0], resolution[1]))) / width;
    const double angle = rotate ? (static_cast<double>(uniform(words[2])) - 0.5) * kPi : 0.0;
    const double cos = std::cos(angle), sin = std::sin(angle);
    const double y = (1 - height) / 2, x = (1 - width) / 2;
    axes[0] = {fixed((cos * y - sin * x + height / 2) * rows), fixed(cos * rows), fixed(-sin * rows)};
    axes[1] = {fixed((sin * y + cos * x + width / 2) * columns), fixed(sin * columns), fixed(cos * columns)};
    const int64_t bottom = size[0] - 1, right = size[1] - 1;
    for (int i = 0; i < 2; ++i) {
      // Positions are linear, so the corners of the image are their extremes.
      const auto at = std::array{axes[i](0, 0), axes[i](0, right), axes[i](bottom, 0), axes[i](bottom, right)};
      const int64_t low = std::min(std::min(at[0], at[1]), std::min(at[2], at[3]));
      const int64_t high = std::max(std::max(at[0], at[1]), std::max(at[2], at[3]));
      first[i] = low >> 32;
      nodes[i] = (high >> 32) - first[i] + 2;
    }
  }

 private:
  DSSM_HOST_DEVICE static int64_t fixed(double cells) { return static_cast<int64_t>(std::nearbyint(cells * 0x1p32)); }
};

}  // namespace dssm
