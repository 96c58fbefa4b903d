// SPDX-License-Identifier: Apache-2.0
// How pixels are mixed; CPU and CUDA kernels share it.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "device.h"

namespace dssm {

// What a pixel is computed in.
template <typename Pixel>
using Exact = std::conditional_t<std::is_same_v<Pixel, uint8_t>, int32_t,
                                 std::conditional_t<std::is_same_v<Pixel, double>, double, float>>;

// a I + (1 - a) I_e for single values or vectors of Exact<Pixel>. uint8 is mixed in 16-bit fixed point, so that every
// backend rounds alike.
template <typename Pixel>
struct Mix {
  Exact<Pixel> weight, rest;

  DSSM_HOST_DEVICE explicit Mix(double alpha) {
    if constexpr (std::is_same_v<Pixel, uint8_t>) {
      weight = static_cast<int32_t>(std::nearbyint(alpha * 65536));
      rest = 65536 - weight;
    } else {
      weight = static_cast<Exact<Pixel>>(alpha);
      rest = 1 - weight;
    }
  }

  template <typename Value>
  DSSM_HOST_DEVICE Value operator()(Value image, Value source) const {
    if constexpr (std::is_same_v<Pixel, uint8_t>) return (weight * image + rest * source + 32768) >> 16;
    return weight * image + rest * source;
  }
};

}  // namespace dssm
