// SPDX-License-Identifier: Apache-2.0
// CUDA's short vectors.
#pragma once

struct float2 {
  float x, y;
};

struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
