// SPDX-License-Identifier: Apache-2.0
// Perlin noise, pixel by pixel, with the gradients of its lattice in shared memory; see dssm/reference/perlin.py.
#pragma once

#include "block.cuh"
#include "paste_mask.cuh"
#include "perlin_lattice.h"

namespace dssm {

class Noise {
 public:
  // The table has room for `capacity` gradients.
  __device__ Noise(const Lattice& lattice, uint64_t seed, uint64_t index, float2* table, int capacity)
      : lattice_(lattice), seed_(seed), index_(index), table_(table) {
    tabulated_ = lattice.nodes[0] <= capacity && lattice.nodes[1] <= capacity / lattice.nodes[0];
  }

  // Fills the table, unless the lattice is so fine that it does not fit: then gradients are hashed where they are used.
  __device__ void tabulate() const {
    if (!tabulated_) return;
    const int columns = static_cast<int>(lattice_.nodes[1]);
    for_each(static_cast<int>(lattice_.nodes[0]) * columns, [&](int node) {
      table_[node] = hash(lattice_.first[0] + node / columns, lattice_.first[1] + node % columns);
    });
  }

  __device__ float operator()(int y, int x) const {
    const int64_t u = lattice_.axes[0](y, x), v = lattice_.axes[1](y, x);
    const float s = fraction(u), t = fraction(v);
    const auto corner = [&](int below, int right) {
      const float2 gradient = look_up((u >> 32) + below, (v >> 32) + right);
      return gradient.x * (s - below) + gradient.y * (t - right);
    };
    const float weight = fade(t);
    const float upper = mix(corner(0, 0), corner(0, 1), weight), lower = mix(corner(1, 0), corner(1, 1), weight);
    return mix(upper, lower, fade(s)) * 1.41421356237309504880f;
  }

 private:
  // How far into its cell a position is, in cells.
  __device__ static float fraction(int64_t position) { return static_cast<float>(position >> 8 & 0xFFFFFF) * 0x1p-24f; }
  __device__ static float fade(float t) { return t * t * t * (t * (t * 6 - 15) + 10); }
  __device__ static float mix(float a, float b, float weight) { return a + weight * (b - a); }

  // The gradient (rows, columns) of node (i, j).
  __device__ float2 hash(int64_t i, int64_t j) const {
    const uint32_t node = static_cast<uint32_t>(i) << 16 | (static_cast<uint32_t>(j) & 0xFFFF);
    float2 gradient;
    sincospif(2 * uniform(philox(seed_, index_, Stream::gradient, node)[0]), &gradient.y, &gradient.x);
    return gradient;
  }

  __device__ float2 look_up(int64_t i, int64_t j) const {
    if (!tabulated_) return hash(i, j);
    const int row = static_cast<int>(i - lattice_.first[0]), column = static_cast<int>(j - lattice_.first[1]);
    return table_[row * static_cast<int>(lattice_.nodes[1]) + column];
  }

  const Lattice& lattice_;
  uint64_t seed_, index_;
  float2* table_;
  bool tabulated_;
};

// Sets the pixels whose noise exceeds the level or reaches the peak; returns the highest noise that this thread saw.
__device__ inline float set_above(const BitMask& mask, const Noise& noise, float level, float peak) {
  float highest = -INFINITY;
  for (int i = warp(); i < mask.size(); i += warps()) {  // a warp makes a word
    const int y = i / mask.pitch(), x = i % mask.pitch() * 32 + lane();
    bool above = false;
    if (x < mask.width) {
      const float value = noise(y, x);
      above = value > level || value >= peak;
      highest = max(highest, value);
    }
    const uint32_t word = __ballot_sync(kAllLanes, above);
    if (lane() == 0) mask.words[i] = word;
  }
  return highest;
}

}  // namespace dssm
