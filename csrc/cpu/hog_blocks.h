// SPDX-License-Identifier: Apache-2.0
// Normalisation of many blocks, `count` numbers each, one after the other in memory.
#pragma once

#include <cmath>
#include <vector>

#include "hog.h"
#include "hog_usual.h"
#include "simd.h"

namespace dssm {

// What one block after the other needs is done for all of them: their square roots and quotients share vectors.
// `Count` is a number, or a constant so that a block stays in registers.
template <typename Real, typename Count>
class Blocks {
 public:
  using V = Vector<Real>;

  Blocks(Real* data, int64_t number, Count count)
      : data_(data), number_(number), count_(count), sums_((number + lanes<V> - 1) / lanes<V> * lanes<V>) {}

  void normalize(Norm norm) {
    constexpr Real kEps = Real(1e-5);
    const auto inverse_length = [](V sum) { return 1 / sqrt(sum + kEps * kEps); };
    if (norm == Norm::l1 || norm == Norm::l1_sqrt) {
      add_up([](V v) { return v; });
      update([](V sum) { return 1 / (sum + kEps); });
      scale([=](V v) { return norm == Norm::l1 ? v : sqrt(v); });
      return;
    }
    add_up([](V v) { return v * v; });
    update(inverse_length);
    if (norm == Norm::l2_hys) clip(inverse_length);
    scale([](V v) { return v; });
  }

  void normalize_opencv() {
    const Real eps = Real(0.1) * count_;
    add_up([](V v) { return v * v; });
    update([=](V sum) { return 1 / (sqrt(sum) + eps); });
    clip([](V sum) { return 1 / (sqrt(sum) + Real(1e-3)); });
    scale([](V v) { return v; });
  }

 private:
  // The sum of f(v) over a block, f(0) being 0.
  template <typename Function>
  void add_up(Function f) {
    for (int64_t block = 0; block < number_; ++block) {
      V total{};
      for_each(block, [&](const Real* at, auto... rest) { total += f(load<V>(at, rest...)); });
      sums_[block] = sum(total);
    }
  }

  template <typename Function>
  void update(Function f) {
    for (size_t i = 0; i < sums_.size(); i += lanes<V>) store(&sums_[i], f(load<V>(&sums_[i])));
  }

  // Scaled values are at most 0.2; then the factors are those of the blocks that come out.
  template <typename Function>
  void clip(Function f) {
    const V most = splat<V>(Real(0.2));
    for (int64_t block = 0; block < number_; ++block) {
      const Real factor = sums_[block];
      V total{};
      for_each(block, [&](Real* at, auto... rest) {
        const V scaled = load<V>(at, rest...) * factor, value = min(most, scaled);  // in this order a NaN stays
        store(at, value, rest...);
        total += value * value;
      });
      sums_[block] = sum(total);
    }
    update(f);
  }

  template <typename Function>
  void scale(Function f) {
    for (int64_t block = 0; block < number_; ++block) {
      const Real factor = sums_[block];
      for_each(block, [&](Real* at, auto... rest) { store(at, f(load<V>(at, rest...) * factor), rest...); });
    }
  }

  // Calls f(address) for the whole vectors of a block, and f(address, lanes) for what is left.
  template <typename Function>
  void for_each(int64_t block, Function f) {
    Real* at = data_ + block * count_;
    int64_t i = 0;
    for (; i + lanes<V> <= count_; i += lanes<V>) f(at + i);
    if (i < count_) f(at + i, count_ - i);
  }

  Real* const data_;
  const int64_t number_;
  const Count count_;
  std::vector<Real> sums_;  // or what becomes of them: the factor of each block
};

// Calls f(Blocks); 2 x 2 cells of 9 bins are the usual block.
template <typename Real, typename Function>
void with_blocks(Real* data, int64_t number, int64_t count, Function f) {
  usually<36>(count, [&](auto size) { f(Blocks<Real, decltype(size)>(data, number, size)); });
}

template <typename Real>
void normalize_blocks(Real* data, int64_t number, int64_t count, Norm norm) {
  with_blocks(data, number, count, [=](auto blocks) { blocks.normalize(norm); });
}

template <typename Real>
void normalize_blocks_opencv(Real* data, int64_t number, int64_t count) {
  with_blocks(data, number, count, [](auto blocks) { blocks.normalize_opencv(); });
}

}  // namespace dssm
