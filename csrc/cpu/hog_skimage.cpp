// SPDX-License-Identifier: Apache-2.0
// Nothing is scattered: for each bin the magnitudes of a few rows are masked and added up in registers, then the
// columns of a cell are added up.
#include "hog_skimage.h"

#include "hog_bins.h"
#include "hog_blocks.h"
#include "hog_gradient.h"
#include "hog_usual.h"
#include "simd_matrix.h"

namespace dssm {
namespace {

constexpr int kStripRows = 8, kTile = 128;

// Sums per bin and column of the image, over the rows of a cell.
template <typename Real>
class ColumnSums {
 public:
  using V = Vector<Real>;
  using I = Masks<V>;

  ColumnSums(int64_t orientations, int64_t width)
      : groups_((orientations + kGroup - 1) / kGroup),
        pitch_(padded<Real>(width)),
        sums_(groups_ * kGroup * pitch_),
        magnitude_(kStripRows * pitch_),
        bins_(kStripRows * pitch_) {}

  void set(int64_t x, V magnitude, I bins) {
    store(&magnitude_[rows_ * pitch_ + x], magnitude);
    store(&bins_[rows_ * pitch_ + x], bins);
  }

  void end_row() {
    if (++rows_ == kStripRows) add_strip();
  }

  // The rows of a cell are over; what comes next begins a new sum.
  void finish() {
    if (rows_ > 0) add_strip();
    empty_ = true;
  }

  const Real* operator[](int64_t bin) const { return &sums_[bin * pitch_]; }

 private:
  static constexpr int kGroup = 3;  // bins at a time: few enough for the registers

  void add_strip() {
    for (int64_t x = 0; x < pitch_; x += lanes<V>) {
      for (int64_t group = 0; group < groups_; ++group) add(group * kGroup, x);
    }
    rows_ = 0;
    empty_ = false;
  }

  void add(int64_t first, int64_t x) {
    V sum[kGroup];
    for (int i = 0; i < kGroup; ++i) sum[i] = empty_ ? V{} : load<V>(&sums_[(first + i) * pitch_ + x]);
    for (int64_t at = x; at < x + rows_ * pitch_; at += pitch_) {
      const V magnitude = load<V>(&magnitude_[at]);
      const I bins = load<I>(&bins_[at]);
      for (int i = 0; i < kGroup; ++i) sum[i] += bins == static_cast<Lane<I>>(first + i) ? magnitude : V{};
    }
    for (int i = 0; i < kGroup; ++i) store(&sums_[(first + i) * pitch_ + x], sum[i]);
  }

  const int64_t groups_, pitch_;
  int rows_ = 0;
  bool empty_ = true;
  std::vector<Real> sums_, magnitude_;
  std::vector<Lane<I>> bins_;
};

// The columns of a cell, x to x + width, become its histogram.
template <typename Real>
void finish_cell(const ColumnSums<Real>& sums, int64_t x, int64_t width, int64_t orientations, Real scale, Real* cell) {
  using Eight = Vector<Real, 8>;
  int64_t bin = 0;
  if (width == lanes<Eight>) {
    for (; bin + lanes<Eight> <= orientations; bin += lanes<Eight>) {
      Eight rows[lanes<Eight>];
      for (int i = 0; i < lanes<Eight>; ++i) rows[i] = load<Eight>(sums[bin + i] + x);
      store(cell + bin, dssm::sums(rows) * scale);
    }
    for (; bin < orientations; ++bin) cell[bin] = sum(load<Eight>(sums[bin] + x)) * scale;
    return;
  }
  for (; bin < orientations; ++bin) {
    Real total = 0;
    for (int64_t i = 0; i < width; ++i) total += sums[bin][x + i];
    cell[bin] = total * scale;
  }
}

}  // namespace

template <typename Real>
std::vector<Real> average_cells(const Image<Real>& image, const HogSettings& settings) {
  const auto [height, width] = settings.cell;
  const int64_t n = settings.orientations, rows = image.height / height, columns = image.width / width;
  const Real scale = Real(1) / (height * width);
  const Bins<Real> bins(n);
  std::vector<Real> cells(rows * columns * n);
  for_each_tile(image.width, width, kTile, [&, width = width, height = height](Columns tile) {
    Gradient<Real> gradient(image, settings.sqrt, tile);
    ColumnSums<Real> sums(n, tile.count());
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t y = row * height; y < (row + 1) * height; ++y) {
        gradient.visit(
            y, [&](int64_t x, const Steps<Real>& steps) { sums.set(x, sqrt(steps.square), bins(steps.dy, steps.dx)); });
        sums.end_row();
      }
      sums.finish();
      Real* cell = &cells[(row * columns + tile.begin / width) * n];
      for (int64_t x = 0; x < tile.count(); x += width, cell += n) finish_cell(sums, x, width, n, scale, cell);
    }
  });
  return cells;
}

template <typename Real>
void hog_skimage(const Image<Real>& image, const HogSettings& settings, Real* out) {
  const std::vector<Real> cells = average_cells(image, settings);
  const auto [number, count] = blocks_of(image, settings);
  for_each_run(image, settings,
               [&](int64_t cell, int64_t block, auto length) { std::copy_n(&cells[cell], length, out + block); });
  normalize_blocks(out, number, count, settings.norm);
}

template std::vector<float> average_cells(const Image<float>&, const HogSettings&);
template std::vector<double> average_cells(const Image<double>&, const HogSettings&);
template void hog_skimage(const Image<float>&, const HogSettings&, float*);
template void hog_skimage(const Image<double>&, const HogSettings&, double*);

}  // namespace dssm
