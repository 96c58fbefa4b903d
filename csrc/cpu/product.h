// SPDX-License-Identifier: Apache-2.0
// The register-blocked matrix product that Mahalanobis distances and covariances are made of.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "simd.h"

namespace dssm {

// Six rows of two vectors: twelve sums hide the latency of two FMAs a cycle and, with the factors, fit 16 registers.
constexpr int kRows = 6;
constexpr int kColumns = 2;

template <typename V, int Rows, int Columns>
using Sums = std::array<std::array<V, Columns>, Rows>;

// sums[r][v] = sum over i < count of left[r * row + i * step] * vector v of right[i * width].
template <int Rows, int Columns, typename V>
inline Sums<V, Rows, Columns> multiply(const Lane<V>* left, int64_t row, int64_t step, const Lane<V>* right,
                                       int64_t width, int64_t count) {
  V sums[Rows * Columns]{};  // a plain array, all loops over it unrolled: otherwise every step stores it to memory
  for (int64_t i = 0; i < count; ++i) {
    V factor[Columns];
#pragma GCC unroll 2
    for (int v = 0; v < Columns; ++v) factor[v] = load<V>(right + i * width + v * lanes<V>);
#pragma GCC unroll 6
    for (int r = 0; r < Rows; ++r) {
      const V weight = splat<V>(left[r * row + i * step]);
#pragma GCC unroll 2
      for (int v = 0; v < Columns; ++v) sums[r * Columns + v] = fma(weight, factor[v], sums[r * Columns + v]);
    }
  }
  Sums<V, Rows, Columns> result;
  for (int k = 0; k < Rows * Columns; ++k) result[k / Columns][k % Columns] = sums[k];
  return result;
}

template <int N>
using Constant = std::integral_constant<int, N>;

// body(Constant<n>(), first) for n rows from `first` on: kRows at a time, then what is left of `count`.
template <int N = kRows, typename Body>
void for_rows(int64_t count, Body body, int64_t first = 0) {
  for (; first + N <= count; first += N) body(Constant<N>(), first);
  if constexpr (N > 1) {
    if (first < count) for_rows<N - 1>(count, body, first);
  }
}

}  // namespace dssm
