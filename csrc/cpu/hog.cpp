// SPDX-License-Identifier: Apache-2.0
// An image is read once, row by row: gradients of the row, then its votes. Blocks are normalised at the end.
#include "hog.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu.h"

namespace dssm {
namespace {

constexpr double kPi = 3.14159265358979323846;

template <typename Pixel>
struct Image {
  const Pixel* data;
  int64_t channels, height, width;
  int64_t channel_stride, row_stride, column_stride;
};

template <typename Pixel, typename Real>
void load_row(const Pixel* row, int64_t stride, int64_t width, bool sqrt, Real* out) {
  if (stride == 1) {
    for (int64_t x = 0; x < width; ++x) out[x] = row[x];
  } else {
    for (int64_t x = 0; x < width; ++x) out[x] = row[x * stride];
  }
  if (sqrt) {
    for (int64_t x = 0; x < width; ++x) out[x] = std::sqrt(out[x]);
  }
}

// Keeps the differences (below - above, right - left) of the pixels where their square is larger; a NaN stays.
template <typename Real>
void select_stronger(int64_t count, const Real* above, const Real* left, const Real* right, const Real* below,
                     Real* __restrict dy, Real* __restrict dx, Real* __restrict square) {
  for (int64_t x = 0; x < count; ++x) {
    const Real y_step = below[x] - above[x], x_step = right[x] - left[x];
    const Real step_square = x_step * x_step + y_step * y_step, old_square = square[x];
    const Real old_dy = dy[x], old_dx = dx[x];
    const bool stronger = !(step_square <= old_square) & (old_square == old_square);
    dy[x] = stronger ? y_step : old_dy;
    dx[x] = stronger ? x_step : old_dx;
    square[x] = stronger ? step_square : old_square;
  }
}

// Central differences of one row after the other, from the channel of largest magnitude; zero across the image's
// borders.
template <typename Pixel, typename Real>
class Gradient {
 public:
  Gradient(const Image<Pixel>& image, bool sqrt)
      : dy(image.width), dx(image.width), magnitude(image.width), image_(image), sqrt_(sqrt) {
    for (auto& row : rows_) row.resize(image.channels * image.width);
  }

  // Rows are visited from 0 on without a gap.
  void visit(int64_t y) {
    while (loaded_ < std::min(y + 2, image_.height)) load(loaded_++);
    const int64_t above = std::max<int64_t>(y - 1, 0), below = std::min(y + 1, image_.height - 1);
    const bool border = above == y || below == y;
    std::fill(magnitude.begin(), magnitude.end(), Real(-1));
    for (int64_t c = 0; c < image_.channels; ++c) {
      take_stronger(channel(border ? y : above, c), channel(y, c), channel(border ? y : below, c));
    }
    for (Real& m : magnitude) m = std::sqrt(m);
  }

  std::vector<Real> dy, dx, magnitude;

 private:
  void load(int64_t y) {
    for (int64_t c = 0; c < image_.channels; ++c) {
      const Pixel* row = image_.data + c * image_.channel_stride + y * image_.row_stride;
      load_row(row, image_.column_stride, image_.width, sqrt_, channel(y, c));
    }
  }

  Real* channel(int64_t y, int64_t c) { return rows_[y % 3].data() + c * image_.width; }

  // `magnitude` holds squares here. The differences across the left and right borders are zero.
  void take_stronger(const Real* above, const Real* row, const Real* below) {
    const int64_t last = image_.width - 1;
    select_stronger(1, above, row, row, below, dy.data(), dx.data(), magnitude.data());
    if (last == 0) return;
    select_stronger(last - 1, above + 1, row, row + 2, below + 1, &dy[1], &dx[1], &magnitude[1]);
    select_stronger(1, above + last, row, row, below + last, &dy[last], &dx[last], &magnitude[last]);
  }

  const Image<Pixel> image_;
  const bool sqrt_;
  int64_t loaded_ = 0;
  std::vector<Real> rows_[3];
};

// The lower edges of bins 1, 2, ... as directions.
template <typename Real>
struct Edges {
  explicit Edges(int64_t orientations) {
    for (int64_t i = 1; i < orientations; ++i) {
      // Pixels do lie on 45, 90 and 135 degrees: no rounding there.
      static constexpr Real kCos[] = {1, 0, -1};
      const bool exact = 4 * i % orientations == 0;
      const double angle = kPi * i / orientations;
      cos.push_back(exact ? kCos[4 * i / orientations - 1] : static_cast<Real>(std::cos(angle)));
      sin.push_back(exact ? 1 : static_cast<Real>(std::sin(angle)));
    }
  }

  std::vector<Real> cos, sin;
};

// The bin of an angle is the number of edges that it has reached; turns (dx, dy) into the upper half plane.
template <typename Real>
void find_bins(Real* __restrict dy, Real* __restrict dx, int64_t width, const Edges<Real>& edges,
               int32_t* __restrict bins) {
  for (int64_t x = 0; x < width; ++x) {
    const Real side = dy[x] == 0 ? dx[x] : dy[x], sign = side < 0 ? Real(-1) : Real(1);
    dy[x] *= sign;
    dx[x] *= sign;
    bins[x] = 0;
  }
  for (size_t i = 0; i < edges.cos.size(); ++i) {
    const Real cos = edges.cos[i], sin = edges.sin[i];
    for (int64_t x = 0; x < width; ++x) bins[x] += dy[x] * cos >= dx[x] * sin;
  }
}

template <typename Real>
Real sum_of_squares(const Real* block, int64_t count) {
  Real sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += block[i] * block[i];
  return sum;
}

template <typename Real>
void divide(Real* block, int64_t count, Real divisor) {
  const Real scale = 1 / divisor;
  for (int64_t i = 0; i < count; ++i) block[i] *= scale;
}

template <typename Real>
void clip(Real* block, int64_t count) {
  for (int64_t i = 0; i < count; ++i) block[i] = std::min(block[i], Real(0.2));
}

template <typename Real>
void normalize(Real* block, int64_t count, Norm norm) {
  const Real eps = Real(1e-5);
  const auto by_length = [&] { divide(block, count, std::sqrt(sum_of_squares(block, count) + eps * eps)); };
  if (norm == Norm::l1 || norm == Norm::l1_sqrt) {
    Real sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += block[i];
    divide(block, count, sum + eps);
    if (norm == Norm::l1) return;
    for (int64_t i = 0; i < count; ++i) block[i] = std::sqrt(block[i]);
    return;
  }
  by_length();
  if (norm == Norm::l2) return;
  clip(block, count);
  by_length();
}

// Hard bins, cells averaged, everything row by row.
template <typename Pixel, typename Real>
void skimage(const Image<Pixel>& image, Real* out, const HogSettings& settings) {
  const int64_t n = settings.orientations, cell_width = settings.cell[1];
  const int64_t rows = image.height / settings.cell[0], columns = image.width / cell_width;
  const Edges<Real> edges(n);
  Gradient<Pixel, Real> gradient(image, settings.sqrt);
  std::vector<int32_t> bins(image.width);
  std::vector<Real> cells(rows * columns * n, 0);
  for (int64_t y = 0; y < rows * settings.cell[0]; ++y) {
    gradient.visit(y);
    find_bins(gradient.dy.data(), gradient.dx.data(), image.width, edges, bins.data());
    Real* cell = &cells[y / settings.cell[0] * columns * n];
    const int32_t* bin = bins.data();
    const Real* magnitude = gradient.magnitude.data();
    for (int64_t column = 0; column < columns; ++column, cell += n) {
      for (int64_t x = 0; x < cell_width; ++x) cell[*bin++] += *magnitude++;
    }
  }
  divide<Real>(cells.data(), cells.size(), settings.cell[0] * cell_width);

  const int64_t height = settings.block[0], width = settings.block[1];
  for (int64_t row = 0; row <= rows - height; ++row) {
    for (int64_t column = 0; column <= columns - width; ++column) {
      Real* block = out;
      for (int64_t y = row; y < row + height; ++y) {
        out = std::copy_n(&cells[(y * columns + column) * n], width * n, out);
      }
      normalize(block, height * width * n, settings.norm);
    }
  }
}

// Weights of a block's pixels for each of its cells, along one axis: hat times Gaussian; weight(cell, pixel).
template <typename Real>
class Window {
 public:
  Window(int64_t cell, int64_t count, double sigma) : length(cell * count), weights_(count * length) {
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t x = 0; x < length; ++x) {
        const double hat = 1 - std::abs((x + 0.5) / cell - 0.5 - i), from_centre = x - length / 2.0;
        const double gauss = std::exp(-from_centre * from_centre / (2 * sigma * sigma));
        weights_[i * length + x] = static_cast<Real>(std::max(hat, 0.0) * gauss);
      }
    }
  }

  Real operator()(int64_t cell, int64_t pixel) const { return weights_[cell * length + pixel]; }

  const int64_t length;

 private:
  std::vector<Real> weights_;
};

// The unsigned angle in [0, pi] with OpenCV's arc tangent, 1.7e-4 off at most.
template <typename Real>
Real arctan2(Real dy, Real dx) {
  const Real ax = std::abs(dx), ay = std::abs(dy), longest = std::max(ax, ay);
  const Real ratio = std::min(ax, ay) / (longest == 0 ? 1 : longest), power = ratio * ratio;
  const Real polynomial =
      Real(0.9997878412794807) +
      power * (Real(-0.3258083974640975) + power * (Real(0.1555786518463281) + power * Real(-0.04432655554792128)));
  const Real acute = ratio * polynomial;
  const Real angle = ay > ax ? Real(kPi / 2) - acute : acute;
  return dy * dx < 0 ? Real(kPi) - angle : angle;
}

// The votes of a row: every magnitude is shared by the two bins whose centres enclose its angle.
template <typename Real>
struct Votes {
  explicit Votes(int64_t width) : lower(width), upper(width), to_lower(width), to_upper(width) {}

  std::vector<int32_t> lower, upper;
  std::vector<Real> to_lower, to_upper;
};

template <typename Real>
void share(const Real* dy, const Real* dx, const Real* magnitude, int64_t width, int32_t orientations,
           int32_t* __restrict lower, int32_t* __restrict upper, Real* __restrict to_lower, Real* __restrict to_upper) {
  const Real per_radian = Real(orientations / kPi);
  for (int64_t x = 0; x < width; ++x) {
    const Real position = arctan2(dy[x], dx[x]) * per_radian - Real(0.5);
    const int32_t floor = static_cast<int32_t>(std::max(Real(-0.5), position) + 1) - 1;  // -1 for a NaN
    to_upper[x] = magnitude[x] * (position - floor);
    to_lower[x] = magnitude[x] - to_upper[x];
    lower[x] = floor < 0 ? orientations - 1 : floor;
    upper[x] = floor + 1 == orientations ? 0 : floor + 1;
  }
}

// What the pixels of one column of a cell give to the cells of the blocks around it.
template <typename Real>
struct Part {
  int64_t offset;  // of a histogram, from the first of the blocks that hold the cell
  Real weight;
};

template <typename Real>
std::vector<std::vector<Part<Real>>> split(const Window<Real>& across, int64_t cell, int64_t count, int64_t bins) {
  std::vector<std::vector<Part<Real>>> parts(cell);
  for (int64_t x = 0; x < cell; ++x) {
    for (int64_t block = 0; block < count; ++block) {
      for (int64_t i = 0; i < count; ++i) {
        const Real weight = across(i, (count - 1 - block) * cell + x);
        if (weight != 0) parts[x].push_back({(block * count + i) * bins, weight});
      }
    }
  }
  return parts;
}

template <typename Real>
void normalize_opencv(Real* block, int64_t count) {
  divide(block, count, std::sqrt(sum_of_squares(block, count)) + Real(0.1) * count);
  clip(block, count);
  divide(block, count, std::sqrt(sum_of_squares(block, count)) + Real(1e-3));
}

// Votes shared between bins and cells under a Gaussian; blocks, and the cells in them, column by column.
// The window is separable: a row's votes are gathered per block column and cell column, then spread over the cell rows.
template <typename Pixel, typename Real>
void opencv(const Image<Pixel>& image, Real* out, const HogSettings& settings) {
  const int64_t n = settings.orientations, cell_height = settings.cell[0], cell_width = settings.cell[1];
  const int64_t height = settings.block[0], width = settings.block[1], count = height * width * n;
  const int64_t rows = image.height / cell_height, columns = image.width / cell_width;
  const int64_t block_rows = rows - height + 1, block_columns = columns - width + 1;
  const double sigma = (height * cell_height + width * cell_width) / 8.0;
  const Window<Real> down(cell_height, height, sigma), across(cell_width, width, sigma);
  Gradient<Pixel, Real> gradient(image, settings.sqrt);
  const auto parts = split(across, cell_width, width, n);
  Votes<Real> votes(image.width);
  // (block column, cell column, bin), with the blocks that reach over the left and the right border.
  std::vector<Real> line((columns + width - 1) * width * n);
  std::fill_n(out, block_columns * block_rows * count, Real(0));

  const auto gather = [&](int64_t column) {
    Real* blocks = &line[column * width * n];
    for (int64_t i = 0; i < cell_width; ++i) {
      const int64_t x = column * cell_width + i;
      const int32_t lower = votes.lower[x], upper = votes.upper[x];
      const Real to_lower = votes.to_lower[x], to_upper = votes.to_upper[x];
      for (const Part<Real>& part : parts[i]) {
        blocks[part.offset + lower] += part.weight * to_lower;
        blocks[part.offset + upper] += part.weight * to_upper;
      }
    }
  };
  const auto spread = [&](int64_t row, int64_t cell, Real weight) {
    const Real* from = &line[(width - 1) * width * n];
    for (int64_t column = 0; column < block_columns; ++column) {
      for (int64_t i = 0; i < width; ++i, from += n) {
        Real* histogram = out + (column * block_rows + row) * count + (i * height + cell) * n;
        for (int64_t bin = 0; bin < n; ++bin) histogram[bin] += weight * from[bin];
      }
    }
  };

  for (int64_t y = 0; y < rows * cell_height; ++y) {
    gradient.visit(y);
    std::fill(line.begin(), line.end(), Real(0));
    share(gradient.dy.data(), gradient.dx.data(), gradient.magnitude.data(), image.width, static_cast<int32_t>(n),
          votes.lower.data(), votes.upper.data(), votes.to_lower.data(), votes.to_upper.data());
    for (int64_t column = 0; column < columns; ++column) gather(column);
    const int64_t first = std::max<int64_t>(y / cell_height - height + 1, 0);
    const int64_t last = std::min(y / cell_height, block_rows - 1);
    for (int64_t row = first; row <= last; ++row) {
      for (int64_t cell = 0; cell < height; ++cell) {
        const Real weight = down(cell, y - row * cell_height);
        if (weight != 0) spread(row, cell, weight);
      }
    }
  }
  for (int64_t i = 0; i < block_columns * block_rows; ++i) normalize_opencv(out + i * count, count);
}

}  // namespace

void hog_cpu(const Array& image, const Array& out, const HogSettings& settings, int threads) {
  visit<uint8_t, float, double>(image.type, [&](auto pixel) {
    using Pixel = typename decltype(pixel)::type;
    visit<float, double>(out.type, [&](auto real) {
      using Real = typename decltype(real)::type;
      const auto compute = settings.mode == HogMode::skimage ? skimage<Pixel, Real> : opencv<Pixel, Real>;
      parallel_for(image.size[0], threads, [&](int64_t i) {
        const Image<Pixel> one{image.at<const Pixel>(i), image.size[1],   image.size[2],  image.size[3],
                               image.stride[1],          image.stride[2], image.stride[3]};
        compute(one, out.at<Real>(i), settings);
      });
    });
  });
}

}  // namespace dssm
