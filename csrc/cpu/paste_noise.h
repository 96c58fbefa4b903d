// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "component_runs.h"
#include "paste.h"
#include "perlin.h"

namespace dssm {

// Masks of noise: the largest component of noise > level. Buffers are kept from one mask to the next.
class NoiseMask {
 public:
  // The mask of a sample number, never empty, for an image of `size` (height, width); its area fits where it can.
  const Runs& find(uint64_t index, const std::array<int64_t, 2>& size, const PasteSettings& settings);

 private:
  void grow(int64_t size);
  void add_row(const float* row, int64_t width, float bound);

  Perlin perlin_;
  Runs runs_;
  std::vector<float> values_;    // some rows, or the whole plane where the level has to be searched
  std::vector<uint64_t> words_;  // a row of bits
};

}  // namespace dssm
