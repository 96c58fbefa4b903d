// SPDX-License-Identifier: Apache-2.0
// Normalisation of blocks, `count` numbers each, one after the other.
#pragma once

#include <cmath>

#include "../simd.h"
#include "hog.h"
#include "hog_usual.h"

namespace dssm {

template <typename Real, typename Count>
class Block {
 public:
  using V = Vector<Real>;

  Block(Real* block, Count count) : block_(block), count_(count) {}

  void normalize(Norm norm) const {
    constexpr Real kEps = Real(1e-5);
    if (norm == Norm::l1 || norm == Norm::l1_sqrt) {
      scale(1 / (sum_of([](V v) { return v; }) + kEps));
      if (norm == Norm::l1_sqrt) replace([](V v) { return sqrt(v); });
      return;
    }
    scale(1 / std::sqrt(sum_of_squares() + kEps * kEps));
    if (norm == Norm::l2) return;
    clip();
    scale(1 / std::sqrt(sum_of_squares() + kEps * kEps));
  }

  void normalize_opencv() const {
    scale(1 / (std::sqrt(sum_of_squares()) + Real(0.1) * count_));
    clip();
    scale(1 / (std::sqrt(sum_of_squares()) + Real(1e-3)));
  }

 private:
  template <typename Function>
  void replace(Function f) const {
    int64_t i = 0;
    for (; i + lanes<V> <= count_; i += lanes<V>) store(block_ + i, f(load<V>(block_ + i)));
    if (i < count_) store(block_ + i, f(load<V>(block_ + i, count_ - i)), count_ - i);
  }

  // f(0) is 0.
  template <typename Function>
  Real sum_of(Function f) const {
    V total{};
    int64_t i = 0;
    for (; i + lanes<V> <= count_; i += lanes<V>) total += f(load<V>(block_ + i));
    if (i < count_) total += f(load<V>(block_ + i, count_ - i));
    return sum(total);
  }

  Real sum_of_squares() const {
    return sum_of([](V v) { return v * v; });
  }
  void scale(Real factor) const {
    replace([=](V v) { return v * factor; });
  }
  void clip() const {
    replace([](V v) { return v > Real(0.2) ? splat<V>(Real(0.2)) : v; });  // a NaN stays
  }

  Real* const block_;
  const Count count_;
};

// Calls f(Block) for each of the blocks; 2 x 2 cells of 9 bins stay in registers.
template <typename Real, typename Function>
void for_each_block(Real* blocks, int64_t number, int64_t count, Function f) {
  usually<36>(count, [&](auto size) {
    for (int64_t i = 0; i < number; ++i) f(Block<Real, decltype(size)>(blocks + i * size, size));
  });
}

template <typename Real>
void normalize_blocks(Real* blocks, int64_t number, int64_t count, Norm norm) {
  for_each_block(blocks, number, count, [=](auto block) { block.normalize(norm); });
}

template <typename Real>
void normalize_blocks_opencv(Real* blocks, int64_t number, int64_t count) {
  for_each_block(blocks, number, count, [](auto block) { block.normalize_opencv(); });
}

}  // namespace dssm
