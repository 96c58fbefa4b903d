// SPDX-License-Identifier: Apache-2.0
// The window, hat times Gaussian, is separable. The votes of a cell row are first added up down its columns, for every
// role that a cell plays in the blocks around it; then along the cells, with roles and bins side by side in vectors.
#include "hog_opencv.h"

#include "hog_blocks.h"
#include "hog_gradient.h"
#include "hog_votes.h"
#include "hog_window.h"
#include "simd_matrix.h"

namespace dssm {
namespace {

constexpr int kStripRows = 8, kTile = 64;

// Weighted sums of the votes of a cell row: per column of the image, role down and bin.
template <typename Real>
class ColumnSums {
 public:
  using V = Vector<Real>;
  using I = Masks<V>;

  ColumnSums(const std::vector<Role<Real>>& down, int64_t orientations, int64_t width)
      : depth(round_up(round_up(down.size(), kRoles) * orientations, kDepthVectors * lanes<V>)),
        down_(down),
        orientations_(orientations),
        roles_(round_up(down.size(), kRoles)),
        pitch_(padded<Real>(width)),
        lower_(kStripRows * pitch_),
        to_lower_(kStripRows * pitch_),
        to_upper_(kStripRows * pitch_),
        weights_(kStripRows * roles_ * lanes<V>),
        strip_(depth * lanes<V>),
        sums_(depth * pitch_) {}

  void set(int64_t x, const SharedVote<Real>& vote) {
    const int64_t at = rows_ * pitch_ + x;
    store(&lower_[at], vote.lower);
    store(&to_lower_[at], vote.to_lower);
    store(&to_upper_[at], vote.to_upper);
  }

  // `y` is the row within its cell.
  void end_row(int64_t y) {
    for (size_t role = 0; role < down_.size(); ++role) {
      store(&weights_[(rows_ * roles_ + role) * lanes<V>], splat<V>(down_[role].weights[y]));
    }
    if (++rows_ == kStripRows) add_strip();
  }

  // The rows of a cell are over; what comes next begins a new sum.
  void finish() {
    if (rows_ > 0) add_strip();
    empty_ = true;
  }

  // Adds up columns x, x + 1, ... with the weights of a role along the cell: (role down, bin).
  void add_along(const Role<Real>& across, int64_t x, Real* out) const {
    for (int64_t i = 0; i < depth; i += kDepthVectors * lanes<V>) {
      V total[kDepthVectors];
      for (V& zero : total) zero = V{};  // `= {}` would call memset
      for (int64_t k = across.begin; k < across.end; ++k) {
        const V weight = splat<V>(across.weights[k]);
        const Real* column = &sums_[(x + k) * depth + i];
        for (int j = 0; j < kDepthVectors; ++j) total[j] = fma(load<V>(column + j * lanes<V>), weight, total[j]);
      }
      for (int j = 0; j < kDepthVectors; ++j) store(out + i + j * lanes<V>, total[j]);
    }
  }

  const int64_t depth;  // of a column: a sum for every role and bin, and some zeros

 private:
  static constexpr int kRoles = 4;                                              // that are added up at once
  static constexpr int kDepthVectors = (kRoles * 9 + lanes<V> - 1) / lanes<V>;  // of as many roles and 9 bins

  static int64_t round_up(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

  void add_strip() {
    for (int64_t x = 0; x < pitch_; x += lanes<V>) {
      for (int64_t role = 0; role < roles_; role += kRoles) {
        for (int64_t bin = 0; bin < orientations_; ++bin) add_down(role, bin, x);
      }
      add_transposed(x);
    }
    rows_ = 0;
    empty_ = false;
  }

  void add_down(int64_t role, int64_t bin, int64_t x) {
    V sum[kRoles];
    for (V& zero : sum) zero = V{};
    const Lane<I> before = (bin == 0 ? orientations_ : bin) - 1;
    for (int64_t row = 0; row < rows_; ++row) {
      const int64_t at = row * pitch_ + x;
      const I lower = load<I>(&lower_[at]);
      const V vote = lower == static_cast<Lane<I>>(bin) ? load<V>(&to_lower_[at])
                     : lower == before                  ? load<V>(&to_upper_[at])
                                                        : V{};
      const Real* weights = &weights_[(row * roles_ + role) * lanes<V>];
      for (int i = 0; i < kRoles; ++i) sum[i] = fma(vote, load<V>(weights + i * lanes<V>), sum[i]);
    }
    for (int i = 0; i < kRoles; ++i) store(&strip_[((role + i) * orientations_ + bin) * lanes<V>], sum[i]);
  }

  void add_transposed(int64_t x) {
    for (int64_t i = 0; i < depth; i += lanes<V>) {
      V tile[lanes<V>];
      for (int j = 0; j < lanes<V>; ++j) tile[j] = load<V>(&strip_[(i + j) * lanes<V>]);
      transpose(tile);
      for (int j = 0; j < lanes<V>; ++j) {
        Real* to = &sums_[(x + j) * depth + i];
        store(to, empty_ ? tile[j] : load<V>(to) + tile[j]);
      }
    }
  }

  const std::vector<Role<Real>>& down_;
  const int64_t orientations_, roles_, pitch_;
  int64_t rows_ = 0;
  bool empty_ = true;
  std::vector<Lane<I>> lower_;
  std::vector<Real> to_lower_, to_upper_, weights_, strip_, sums_;
};

// The histograms of all blocks, and which of their cells a role adds to.
template <typename Real>
class BlockSums {
 public:
  BlockSums(const Image<Real>& image, const HogSettings& settings, const Window<Real>& window, Real* out)
      : height_(settings.block[0]),
        bins_(settings.orientations),
        count_(height_ * settings.block[1] * bins_),
        rows_(image.height / settings.cell[0] - height_ + 1),
        columns_(image.width / settings.cell[1] - settings.block[1] + 1),
        window_(window),
        out_(out) {
    std::fill_n(out, rows_ * columns_ * count_, Real(0));
  }

  bool holds(const Role<Real>& across, int64_t column) const {
    return column >= across.cell && column - across.cell < columns_;
  }

  // What the cell in this row and column gives to all blocks where it has the role `across`: (role down, bin).
  void add(int64_t row, int64_t column, const Role<Real>& across, const Real* sums) const {
    const auto& down = window_.down;
    for (size_t i = 0, next; i < down.size(); i = next) {
      for (next = i + 1; next < down.size() && down[next].cell == down[i].cell;) ++next;
      const int64_t block_row = row - down[i].cell, block_column = column - across.cell;
      if (block_row < 0 || block_row >= rows_) continue;
      Real* block = out_ + (block_column * rows_ + block_row) * count_;
      Real* to = block + (across.target * height_ + down[i].target) * bins_;
      usually<2 * 9>((next - i) * bins_, [&, from = sums + i * bins_](auto run) {
        for (int64_t k = 0; k < run; ++k) to[k] += from[k];
      });
    }
  }

 private:
  const int64_t height_, bins_, count_, rows_, columns_;
  const Window<Real>& window_;
  Real* const out_;
};

}  // namespace

template <typename Real>
void add_up_blocks(const Image<Real>& image, const HogSettings& settings, Real* out) {
  const auto [height, width] = settings.cell;
  const Window<Real> window(settings);
  const Share<Real> share(settings.orientations);
  const BlockSums<Real> blocks(image, settings, window, out);
  for_each_tile(image.width, width, kTile, [&, height = height, width = width](Columns tile) {
    Gradient<Real> gradient(image, settings.sqrt, tile);
    ColumnSums<Real> sums(window.down, settings.orientations, tile.count());
    std::vector<Real> cell(sums.depth);
    for (int64_t row = 0; row < image.height / height; ++row) {
      for (int64_t y = 0; y < height; ++y) {
        gradient.visit(row * height + y, [&](int64_t x, const Steps<Real>& steps) { sums.set(x, share(steps)); });
        sums.end_row(y);
      }
      sums.finish();
      for (int64_t x = 0; x < tile.count(); x += width) {
        const int64_t column = (tile.begin + x) / width;
        for (const Role<Real>& across : window.across) {
          if (!blocks.holds(across, column)) continue;
          sums.add_along(across, x, cell.data());
          blocks.add(row, column, across, cell.data());
        }
      }
    }
  });
}

template <typename Real>
void hog_opencv(const Image<Real>& image, const HogSettings& settings, Real* out) {
  const auto [number, count] = blocks_of(image, settings);
  add_up_blocks(image, settings, out);
  normalize_blocks_opencv(out, number, count);
}

template void add_up_blocks(const Image<float>&, const HogSettings&, float*);
template void add_up_blocks(const Image<double>&, const HogSettings&, double*);
template void hog_opencv(const Image<float>&, const HogSettings&, float*);
template void hog_opencv(const Image<double>&, const HogSettings&, double*);

}  // namespace dssm
