// SPDX-License-Identifier: Apache-2.0
// The window, hat times Gaussian, is separable. The votes of a cell row are first added up down its columns, for every
// role that a cell plays in the blocks around it; then along the cells, with bins and roles side by side in a vector.
#include "hog_opencv.h"

#include "hog_blocks.h"
#include "hog_gradient.h"
#include "hog_votes.h"
#include "hog_window.h"

namespace dssm {
namespace {

// The votes of a few rows, and their sums per column of the image for every role down.
template <typename Real>
class WeightedSums {
 public:
  using V = Vector<Real>;
  using I = Masks<V>;

  WeightedSums(const std::vector<Role<Real>>& roles, int64_t orientations, int64_t width)
      : orientations_(orientations),
        bins_(round_up(orientations, kBins)),
        roles_(round_up(roles.size(), kRoles)),
        depth(round_up(roles_ * bins_, lanes<V>)),
        pitch_(padded<Real>(width)),
        lower_(kStripRows * pitch_),
        to_lower_(kStripRows * pitch_),
        to_upper_(kStripRows * pitch_),
        weights_(kStripRows * roles_),
        rows_(depth * lanes<V>),
        sums_(depth * pitch_),
        down_(roles) {}

  void set(int64_t x, const SharedVote<Real>& vote) {
    const int64_t at = count_ * pitch_ + x;
    store(&lower_[at], vote.lower);
    store(&to_lower_[at], vote.to_lower);
    store(&to_upper_[at], vote.to_upper);
  }

  // `y` is the row within its cell.
  void end_row(int64_t y) {
    for (size_t role = 0; role < down_.size(); ++role) weights_[count_ * roles_ + role] = down_[role].weights[y];
    if (++count_ == kStripRows) flush();
  }

  // The sums of a cell row are complete.
  void flush() {
    for (int64_t x = 0; x < pitch_; x += lanes<V>) {
      for (int64_t role = 0; role < roles_; role += kRoles) {
        for (int64_t bin = 0; bin < bins_; bin += kBins) add_down(role, bin, x);
      }
      add_transposed(x);
    }
    count_ = 0;
  }

  void clear() { std::fill(sums_.begin(), sums_.end(), Real(0)); }

  // The sums of column x, that of a role and a bin at role * bins + bin.
  const Real* column(int64_t x) const { return &sums_[x * depth]; }
  int64_t bins() const { return bins_; }

 private:
  static constexpr int kStripRows = 8, kBins = 3, kRoles = 4;  // sums of kBins x kRoles fit the registers

  static int64_t round_up(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

  void add_down(int64_t role, int64_t first, int64_t x) {
    V sum[kRoles][kBins] = {};
    const Lane<I> before = (first == 0 ? orientations_ : first) - 1;
    for (int64_t row = 0; row < count_; ++row) {
      const int64_t at = row * pitch_ + x;
      const I lower = load<I>(&lower_[at]);
      const V to_lower = load<V>(&to_lower_[at]), to_upper = load<V>(&to_upper_[at]);
      I upper_here = lower == before;
      for (int bin = 0; bin < kBins; ++bin) {
        const I lower_here = lower == static_cast<Lane<I>>(first + bin);
        const V vote = upper_here ? to_upper : lower_here ? to_lower : V{};
        for (int i = 0; i < kRoles; ++i) {
          sum[i][bin] = fma(vote, splat<V>(weights_[row * roles_ + role + i]), sum[i][bin]);
        }
        upper_here = lower_here;
      }
    }
    for (int i = 0; i < kRoles; ++i) {
      for (int bin = 0; bin < kBins; ++bin) {
        store(&rows_[((role + i) * bins_ + first + bin) * lanes<V>], sum[i][bin]);
      }
    }
  }

  void add_transposed(int64_t x) {
    for (int64_t i = 0; i < depth; i += lanes<V>) {
      V tile[lanes<V>];
      for (int j = 0; j < lanes<V>; ++j) tile[j] = load<V>(&rows_[(i + j) * lanes<V>]);
      transpose(tile);
      for (int j = 0; j < lanes<V>; ++j) {
        Real* to = &sums_[(x + j) * depth + i];
        store(to, load<V>(to) + tile[j]);
      }
    }
  }

  const int64_t orientations_, bins_, roles_;

 public:
  const int64_t depth;  // of a column

 private:
  const int64_t pitch_;
  int64_t count_ = 0;
  std::vector<Lane<I>> lower_;
  std::vector<Real> to_lower_, to_upper_, weights_, rows_, sums_;
  const std::vector<Role<Real>>& down_;
};

}  // namespace

template <typename Real>
void hog_opencv(const Image<Real>& image, const HogSettings& settings, Real* out) {
  using V = Vector<Real>;
  const auto [cell_height, cell_width] = settings.cell;
  const auto [height, width] = settings.block;
  const int64_t n = settings.orientations, count = height * width * n;
  const int64_t rows = image.height / cell_height, columns = image.width / cell_width;
  const int64_t block_rows = rows - height + 1, block_columns = columns - width + 1;
  const Window<Real> window(settings);
  Gradient<Real> gradient(image, settings.sqrt);
  WeightedSums<Real> sums(window.down, n, image.width);
  std::vector<Real> part(sums.depth);
  std::fill_n(out, block_columns * block_rows * count, Real(0));

  // What the columns of a cell give to one of the cells of a block.
  const auto add_along = [&](const Role<Real>& role, int64_t x) {
    for (int64_t i = 0; i < sums.depth; i += lanes<V>) {
      V total{};
      for (int64_t k = role.begin; k < role.end; ++k) {
        total = fma(load<V>(sums.column(x + k) + i), splat<V>(role.weights[k]), total);
      }
      store(&part[i], total);
    }
  };
  const auto spread = [&](int64_t row, int64_t column, const Role<Real>& across) {
    const int64_t block_column = column - across.cell;
    for (size_t i = 0; i < window.down.size(); ++i) {
      const Role<Real>& down = window.down[i];
      const int64_t block_row = row - down.cell;
      if (block_row < 0 || block_row >= block_rows) continue;
      Real* to = out + (block_column * block_rows + block_row) * count + (across.target * height + down.target) * n;
      const Real* from = &part[i * sums.bins()];
      usually<9>(n, [&](auto bins) {
        for (int64_t bin = 0; bin < bins; ++bin) to[bin] += from[bin];
      });
    }
  };

  for (int64_t row = 0; row < rows; ++row) {
    sums.clear();
    for (int64_t y = 0; y < cell_height; ++y) {
      gradient.visit(row * cell_height + y,
                     [&](int64_t x, const Steps<Real>& steps) { sums.set(x, share(steps, n)); });
      sums.end_row(y);
    }
    sums.flush();
    for (int64_t column = 0; column < columns; ++column) {
      for (const Role<Real>& role : window.across) {
        if (column < role.cell || column - role.cell >= block_columns) continue;
        add_along(role, column * cell_width);
        spread(row, column, role);
      }
    }
  }
  normalize_blocks_opencv(out, block_columns * block_rows, count);
}

template void hog_opencv(const Image<float>&, const HogSettings&, float*);
template void hog_opencv(const Image<double>&, const HogSettings&, double*);

}  // namespace dssm
