// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "array.h"
#include "mix.h"
#include "simd.h"

namespace dssm {

// A vector of pixels in the type that they are computed in.
template <typename Pixel>
using Wide = Vector<Exact<Pixel>>;

template <typename Pixel>
inline Wide<Pixel> load_wide(const Pixel* from) {
  if constexpr (std::is_same_v<Pixel, double>) {
    return load<Wide<double>>(from);
  } else if constexpr (std::is_same_v<Pixel, uint8_t>) {
    return load_ints(from);
  } else {
    return load_floats(from);
  }
}

template <typename Pixel>
inline void store_wide(Pixel* to, Wide<Pixel> value) {
  if constexpr (std::is_same_v<Pixel, double>) {
    store(to, value);
  } else if constexpr (std::is_same_v<Pixel, uint8_t>) {
    store_ints(to, value);
  } else {
    store_floats(to, value);
  }
}

// The same for the first `count` pixels.
template <typename Pixel>
inline Wide<Pixel> load_wide(const Pixel* from, int64_t count) {
  constexpr int kPixels = lanes<Wide<Pixel>>;
  if (count >= kPixels) return load_wide(from);
  Pixel buffer[kPixels] = {};
  std::memcpy(static_cast<void*>(buffer), from, count * sizeof(Pixel));
  return load_wide(buffer);
}

template <typename Pixel>
inline void store_wide(Pixel* to, Wide<Pixel> value, int64_t count) {
  constexpr int kPixels = lanes<Wide<Pixel>>;
  if (count >= kPixels) return store_wide(to, value);
  Pixel buffer[kPixels];
  store_wide(buffer, value);
  std::memcpy(static_cast<void*>(to), buffer, count * sizeof(Pixel));
}

template <typename Pixel>
void copy_row(Pixel* to, const Pixel* from, int64_t count, int64_t stride) {
  if (stride == 1) {
    std::copy_n(from, count, to);
  } else if (stride == 3) {
    for (int64_t x = 0; x < count; ++x) to[x] = from[3 * x];  // RGB in channels_last; vectorised for its fixed stride
  } else {
    for (int64_t x = 0; x < count; ++x) to[x] = from[x * stride];
  }
}

// Equation 3 over a batch. `image` and `source` (batch, channels, height, width) and `mask` (batch, height, width) may
// have any strides; `alpha` is float32 or float64; `out` is contiguous.
void blend_cpu(const Array& image, const Array& source, const Array& mask, const Array& alpha, const Array& out,
               int threads);

// The gradients of the sum of grad * blend: contiguous, of the floating type of the images, and float64 for alpha.
void blend_backward_cpu(const Array& grad, const Array& image, const Array& source, const Array& mask,
                        const Array& alpha, const Array& grad_image, const Array& grad_source, const Array& grad_alpha,
                        int threads);

}  // namespace dssm
