// SPDX-License-Identifier: Apache-2.0
// Perlin noise: a row of pixels is a straight line through the lattice, cut into pieces at the borders of the cells.
#include "perlin.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu.h"
#include "philox.h"

namespace dssm {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr float kSqrt2 = 1.41421356237309504880f;
constexpr int64_t kCell = int64_t{1} << 32;

// Lengths in a cell are stretched by the fifth root of 6: then the quintic's first coefficient is 1.
constexpr float kStretch = 1.43096908110525550f;
constexpr float kFixedToStretched = kStretch * 0x1p-32f;

// A gradient per lane: its components along the rows and the columns of the lattice.
struct Gradients {
  Floats row, column;
};

// The gradients, times sqrt(2), of the nodes that `node` names: i mod 2^16 above j mod 2^16.
Gradients hash(uint64_t seed, uint64_t index, Vector<uint32_t> node) {
  const auto turn = reinterpret_cast<Ints>(philox_first(seed, index, Stream::gradient, node) >> 8);  // in 2^-24
  const Ints quarter = (turn + (1 << 21)) >> 22;
  const Floats x = convert<float>(turn - (quarter << 22)) * static_cast<float>(kPi * 0x1p-23);  // |x| <= pi / 4
  const Floats square = x * x;
  // Taylor series, multiplied by sqrt(2).
  const auto series = [square](Floats first, float a, float b, float c, float d) {
    const Floats high = fma(square, splat<Floats>(d * kSqrt2), splat<Floats>(c * kSqrt2));
    const Floats middle = fma(square, high, splat<Floats>(b * kSqrt2));
    return fma(square * first, fma(square, middle, splat<Floats>(a * kSqrt2)), first * kSqrt2);
  };
  const Floats sine = series(x, -1.f / 6, 1.f / 120, -1.f / 5040, 1.f / 362880);
  const Floats cosine = series(splat<Floats>(1), -1.f / 2, 1.f / 24, -1.f / 720, 1.f / 40320);
  const Ints odd = (quarter & 1) != 0;
  const Floats row = odd ? sine : cosine, column = odd ? cosine : sine;
  return {((quarter + 1) & 2) != 0 ? -row : row, (quarter & 2) != 0 ? -column : column};
}

// The quintic fade 6 t^5 - 15 t^4 + 10 t^3 less 1/2; given is t - 1/2, stretched, in which it is odd.
Floats fade(Floats t) {
  const Floats square = t * t;
  constexpr float kLinear = 1.875f / kStretch, kCubic = -5 / (kStretch * kStretch * kStretch);
  return t * fma(square, square + kCubic, splat<Floats>(kLinear));
}

}  // namespace

struct Perlin::Walk {
  int64_t cell;      // where the row is
  int64_t position;  // from the middle of the cell, in 2^-32 cells
  int64_t leave;     // the pixel that enters the next cell, in 2^-32 pixels
  int64_t per_pixel, per_cell, direction;

  Walk(const LatticeAxis& axis, int64_t y) {
    constexpr double kFar = 0x1p61;  // behind any row's end
    const int64_t start = axis(y, 0);
    cell = start >> 32;
    position = start - cell * kCell - kCell / 2;
    per_pixel = axis.per_x;
    direction = per_pixel < 0 ? -1 : 1;
    const int64_t ahead = kCell / 2 - direction * position;
    const double pixels = 0x1p32 / std::abs(static_cast<double>(per_pixel));  // per cell; infinite if it is not left
    // Rounded up: a pixel may be computed in the cell that it has just left, for the noise is smooth, but never in a
    // cell that the row does not reach.
    per_cell = static_cast<int64_t>(std::min(std::ceil(pixels * 0x1p32), kFar));
    leave = static_cast<int64_t>(std::min(static_cast<double>(ahead) * pixels, kFar)) + 1;
  }

  // Moves by a number of pixels; `crossing` is -1 if that ends in the next cell of this axis, else 0.
  void move(int64_t pixels, int64_t crossing) {
    position += pixels * per_pixel - (crossing & (direction * kCell));
    leave += crossing & per_cell;
  }

  float stretched() const { return static_cast<float>(position) * kFixedToStretched; }
};

void Perlin::place(uint64_t index, const PerlinSettings& settings) {
  index_ = index;
  seed_ = settings.seed;
  height_ = settings.size[0];
  width_ = settings.size[1];
  lattice_ = Lattice(index, settings.seed, settings.size, settings.resolution, settings.rotate);

  const int64_t whole = width_ + kLanes;
  numbers_.resize(whole);
  for (auto& offsets : offsets_) offsets.resize(whole);
  for (int64_t i = 0; i < whole; ++i) {
    numbers_[i] = static_cast<float>(i);
    offsets_[0][i] = numbers_[i] * (static_cast<float>(lattice_.axes[0].per_x) * kFixedToStretched);
    offsets_[1][i] = numbers_[i] * (static_cast<float>(lattice_.axes[1].per_x) * kFixedToStretched);
  }
  tabulate();
}

// The table of the cells that the image covers; it is empty if the lattice is far finer than the image.
void Perlin::tabulate() {
  const auto& nodes = lattice_.nodes;
  const bool fine = nodes[0] * nodes[1] > 4 * height_ * width_;
  pitch_ = nodes[1] - 1;
  cells_.resize(fine ? 0 : (nodes[0] - 1) * pitch_);
  if (fine) return;

  const int64_t whole = (nodes[1] + kLanes - 1) / kLanes * kLanes;
  auto& [rows, columns] = gradients_;
  rows.resize(nodes[0] * whole);
  columns.resize(nodes[0] * whole);
  Vector<uint32_t> lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  for (int64_t i = 0; i < nodes[0]; ++i) {
    const uint32_t row = static_cast<uint32_t>(lattice_.first[0] + i) << 16;
    for (int64_t j = 0; j < whole; j += kLanes) {
      const auto column = (lane + static_cast<uint32_t>(lattice_.first[1] + j)) & 0xFFFF;
      const Gradients gradients = hash(seed_, index_, row | column);
      store(&rows[i * whole + j], gradients.row);
      store(&columns[i * whole + j], gradients.column);
    }
  }
  for (int64_t i = 0; i + 1 < nodes[0]; ++i) {
    const auto corners = [&](const std::vector<float>& components, int64_t j) {
      const float *upper = &components[i * whole + j], *lower = upper + whole;
      return Cell::Terms{upper[0], upper[1], lower[0], lower[1]};
    };
    for (int64_t j = 0; j < pitch_; ++j) {
      cells_[i * pitch_ + j] = Cell(corners(rows, j), corners(columns, j), offsets_[0][1], offsets_[1][1]);
    }
  }
}

Perlin::Cell::Cell(Terms rows, Terms columns, float step_s, float step_t) {
  // Their mean, right less left, lower less upper, and how one difference changes along the other.
  const auto terms = [](Terms corner) {
    const auto [upper_left, upper_right, lower_left, lower_right] =
        std::array{corner[0], corner[1], corner[2], corner[3]};
    const float upper = upper_right - upper_left, lower = lower_right - lower_left;
    const float left = lower_left - upper_left, right = lower_right - upper_right;
    return Terms{(upper_left + upper_right + lower_left + lower_right) / 4, (upper + lower) / 2, (left + right) / 2,
                 lower - upper};
  };
  middle = terms((rows * Terms{1, 1, -1, -1} + columns * Terms{1, -1, 1, -1}) / 2);
  row = terms(rows) / kStretch;
  column = terms(columns) / kStretch;
  growth = step_s * row + step_t * column;
}

// A piece of a row that begins at s, t from the middle of a cell, stretched. Whole vectors are written.
void Perlin::fill(const Cell& cell, float s, float t, int64_t pixels, float* out) const {
  const Cell::Terms first = cell.middle + s * cell.row + t * cell.column;
  // Copies: for all that the compiler knows, a store changes the members.
  const float *numbers = numbers_.data(), *rows = offsets_[0].data(), *columns = offsets_[1].data();
  for (int64_t x = 0; x < pixels; x += kLanes) {
    const auto number = load<Floats>(numbers + x);
    const auto term = [&](int i) { return fma(splat<Floats>(cell.growth[i]), number, splat<Floats>(first[i])); };
    const Floats down = fade(s + load<Floats>(rows + x)), right = fade(t + load<Floats>(columns + x));
    store(out + x, fma(down, fma(right, term(3), term(2)), fma(right, term(1), term(0))));
  }
}

void Perlin::tabulated_row(int64_t y, float* out) const {
  Walk down(lattice_.axes[0], y), across(lattice_.axes[1], y);
  const Cell* cell = &cells_[(down.cell - lattice_.first[0]) * pitch_ + across.cell - lattice_.first[1]];
  const int64_t row_step = down.direction * pitch_;
  for (int64_t x = 0; x < width_;) {
    const int64_t end = std::min((std::min(down.leave, across.leave) + kCell - 1) >> 32, width_), pixels = end - x;
    fill(*cell, down.stretched(), across.stretched(), pixels, out + x);
    // Masks instead of a branch: nobody can predict which border comes first.
    const int64_t next_row = -static_cast<int64_t>(down.leave <= across.leave), next_column = ~next_row;
    down.move(pixels, next_row);
    across.move(pixels, next_column);
    cell += (next_row & row_step) + (next_column & across.direction);
    x = end;
  }
}

// A piece per pixel.
void Perlin::hashed_row(int64_t y, float* out) const {
  for (int64_t x = 0; x < width_; ++x) {
    const auto [u, v] = std::array{lattice_.axes[0](y, x), lattice_.axes[1](y, x)};
    const auto stretched = [](int64_t at) {
      return static_cast<float>((at & (kCell - 1)) - kCell / 2) * kFixedToStretched;
    };
    Vector<uint32_t> nodes{};
    for (int corner = 0; corner < 4; ++corner) {
      nodes[corner] = static_cast<uint32_t>((u >> 32) + corner / 2) << 16;
      nodes[corner] |= static_cast<uint32_t>((v >> 32) + corner % 2) & 0xFFFF;
    }
    const auto [rows, columns] = hash(seed_, index_, nodes);
    const auto corners = [](Floats component) { return load<Cell::Terms>(reinterpret_cast<float*>(&component)); };
    fill(Cell(corners(rows), corners(columns), 0, 0), stretched(u), stretched(v), 1, out + x);
  }
}

void perlin_cpu(const Array& index, const Array& out, uint64_t seed, const std::array<int64_t, 2>& resolution,
                bool rotate, int threads) {
  struct Workspace {
    Perlin perlin;
    std::vector<float> row;
  };
  const auto [batch, height, width] = sizes<3>(out);
  const PerlinSettings settings{{height, width}, seed, resolution, rotate};
  parallel_for_with<Workspace>(batch, threads, [&](int64_t sample, Workspace& work) {
    work.perlin.place(*index.at<int64_t>(sample), settings);
    work.row.resize(settings.size[1] + kLanes);
    for (int64_t y = 0; y < settings.size[0]; ++y) {
      work.perlin.row(y, work.row.data());
      std::memcpy(out.at<float>(sample, y), work.row.data(), settings.size[1] * sizeof(float));
    }
  });
}

}  // namespace dssm
