// SPDX-License-Identifier: Apache-2.0
// Vectors as the rows of a matrix: rows that become columns, and the sums of all rows at once.
#pragma once

#include <utility>

#include "simd.h"

namespace dssm {

// The lanes with these numbers, counted through a and on through b.
template <int... Index, typename V>
inline V shuffle(V a, V b) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, Index...);
#else
  return V{(Index < lanes<V> ? a[Index % lanes<V>] : b[Index % lanes<V>])...};
#endif
}

// Swaps blocks of `Step` lanes: of rows l and l + Step of a matrix, the lanes that a transposed one has in each other.
template <int Step, typename V, int... Index>
inline void exchange(V& a, V& b, std::integer_sequence<int, Index...>) {
  constexpr int kCount = lanes<V>;
  const V first = shuffle<(Index & Step ? kCount + Index - Step : Index)...>(a, b);
  b = shuffle<(Index & Step ? kCount + Index : Index + Step)...>(a, b);
  a = first;
}

template <typename V, int Step, int... Row>
inline void transpose_steps(V* rows, std::integer_sequence<int, Row...> each) {
  ((Row & Step ? void() : exchange<Step>(rows[Row], rows[Row ^ Step], each)), ...);
  if constexpr (Step > 1) transpose_steps<V, Step / 2>(rows, each);
}

// Rows become columns.
template <typename V>
inline void transpose(V (&rows)[lanes<V>]) {
  transpose_steps<V, lanes<V> / 2>(rows, std::make_integer_sequence<int, lanes<V>>());
}

template <typename V, int Step, int... Lane>
inline V sums_of(const V* rows, std::integer_sequence<int, Lane...> each) {
  if constexpr (Step == lanes<V>) {
    return *rows;
  } else {
    V a = sums_of<V, 2 * Step>(rows, each), b = sums_of<V, 2 * Step>(rows + Step, each);
    exchange<Step>(a, b, each);
    return a + b;
  }
}

// Lane i is the sum of the lanes of row i.
template <typename V>
inline V sums(const V (&rows)[lanes<V>]) {
  return sums_of<V, 1>(rows, std::make_integer_sequence<int, lanes<V>>());
}

}  // namespace dssm
