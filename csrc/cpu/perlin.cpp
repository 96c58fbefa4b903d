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

int64_t fixed(double cells) { return static_cast<int64_t>(std::nearbyint(cells * 0x1p32)); }

// A gradient per lane: its components along the rows and the columns of the lattice.
struct Gradients {
  Floats row, column;

  Floats operator()(Floats s, Floats t) const { return fma(row, s, column * t); }
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

// 6 t^5 - 15 t^4 + 10 t^3, written from the middle of the cell: t - 1/2 is given.
Floats fade(Floats t) {
  const Floats square = t * t;
  const Floats slope = fma(square, fma(square, splat<Floats>(6), splat<Floats>(-5)), splat<Floats>(1.875f));
  return fma(t, slope, splat<Floats>(0.5f));
}

Floats lerp(Floats a, Floats b, Floats weight) { return fma(weight, b - a, a); }

// Noise at s, t from the middle of a cell; corner(below, right) gives the gradients of its corners.
template <typename Corner>
Floats interpolate(Floats s, Floats t, Corner corner) {
  const Floats down = s + 0.5f, up = s - 0.5f, right = t + 0.5f, left = t - 0.5f;
  const Floats weight = fade(t);
  const Floats upper = lerp(corner(0, 0)(down, right), corner(0, 1)(down, left), weight);
  const Floats lower = lerp(corner(1, 0)(up, right), corner(1, 1)(up, left), weight);
  return lerp(upper, lower, fade(s));
}

Floats count_up(float step) {
  Floats result;
  for (int i = 0; i < kLanes; ++i) result[i] = static_cast<float>(i) * step;
  return result;
}

}  // namespace

struct Perlin::Walk {
  int64_t cell;      // where the row is
  int64_t position;  // from the middle of the cell, in 2^-32 cells
  int64_t leave;     // the pixel that enters the next cell, in 2^-32 pixels
  int64_t per_pixel, per_cell, direction;

  Walk(const Axis& axis, int64_t y) {
    constexpr double kFar = 0x1p61;  // behind any row's end
    const int64_t start = axis(y, 0);
    cell = start >> 32;
    position = start - cell * kCell - kCell / 2;
    per_pixel = axis.per_x;
    direction = per_pixel < 0 ? -1 : 1;
    const double pixels = 0x1p64 / std::abs(static_cast<double>(per_pixel));  // per cell; infinite for a row along it
    const int64_t ahead = kCell / 2 - direction * position;
    // Rounded up: a pixel may be computed in the cell that it has just left, for the noise is smooth, but never in a
    // cell that the row does not reach.
    per_cell = static_cast<int64_t>(std::min(std::ceil(pixels), kFar));
    leave = static_cast<int64_t>(std::min(static_cast<double>(ahead) * 0x1p-32 * pixels, kFar)) + 1;
  }

  // Moves by a number of pixels, then into the next cell if `crossing` is -1, and not if it is 0.
  void move(int64_t pixels, int64_t crossing) {
    position += pixels * per_pixel - (crossing & (direction * kCell));
    leave += crossing & per_cell;
  }

  Floats positions(Floats offsets) const { return static_cast<float>(position) * 0x1p-32f + offsets; }
};

void Perlin::place(uint64_t index, const PerlinSettings& settings) {
  index_ = index;
  seed_ = settings.seed;
  height_ = settings.size[0];
  width_ = settings.size[1];
  const auto [lo, hi] = settings.resolution;
  const auto words = philox(seed_, index, Stream::shape, 0);
  const double height = static_cast<double>(height_), width = static_cast<double>(width_);
  const double rows = std::ldexp(1.0, static_cast<int>(integer(words[0], lo, hi))) / height;
  const double columns = std::ldexp(1.0, static_cast<int>(integer(words[1], lo, hi))) / width;
  const double angle = settings.rotate ? (static_cast<double>(uniform(words[2])) - 0.5) * kPi : 0.0;
  const double cos = std::cos(angle), sin = std::sin(angle);
  const double y = (1 - height) / 2, x = (1 - width) / 2;
  axes_[0] = {fixed((cos * y - sin * x + height / 2) * rows), fixed(cos * rows), fixed(-sin * rows)};
  axes_[1] = {fixed((sin * y + cos * x + width / 2) * columns), fixed(sin * columns), fixed(cos * columns)};
  tabulate();
}

// Tables of the nodes that the image covers; none if the lattice is far finer than the image.
void Perlin::tabulate() {
  std::array<int64_t, 2> nodes;
  for (int i = 0; i < 2; ++i) {
    // Positions are linear, so the corners of the image are their extremes.
    const Axis& axis = axes_[i];
    const int64_t bottom = height_ - 1, right = width_ - 1;
    const auto [low, high] = std::minmax({axis(0, 0), axis(0, right), axis(bottom, 0), axis(bottom, right)});
    first_[i] = low >> 32;
    nodes[i] = (high >> 32) - first_[i] + 2;
  }
  pitch_ = (nodes[1] + kLanes - 1) / kLanes * kLanes;
  const bool fine = nodes[0] * nodes[1] > 4 * height_ * width_;
  for (auto& component : gradients_) component.resize(fine ? 0 : nodes[0] * pitch_);
  if (fine) return;

  Vector<uint32_t> lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  for (int64_t i = 0; i < nodes[0]; ++i) {
    const uint32_t row = static_cast<uint32_t>(first_[0] + i) << 16;
    for (int64_t j = 0; j < nodes[1]; j += kLanes) {
      const auto column = (lane + static_cast<uint32_t>(first_[1] + j)) & 0xFFFF;
      const Gradients gradients = hash(seed_, index_, row | column);
      store(&gradients_[0][i * pitch_ + j], gradients.row);
      store(&gradients_[1][i * pitch_ + j], gradients.column);
    }
  }
}

void Perlin::tabulated_row(int64_t y, float* out) const {
  Walk down(axes_[0], y), across(axes_[1], y);
  int64_t node = (down.cell - first_[0]) * pitch_ + across.cell - first_[1];
  const int64_t row_step = down.direction * pitch_;
  const Floats rows = count_up(static_cast<float>(down.per_pixel) * 0x1p-32f);
  const Floats columns = count_up(static_cast<float>(across.per_pixel) * 0x1p-32f);
  for (int64_t x = 0; x < width_;) {
    const auto corner = [&](int below, int right) -> Gradients {
      const int64_t at = node + below * pitch_ + right;
      return {splat<Floats>(gradients_[0][at]), splat<Floats>(gradients_[1][at])};
    };
    // Lanes behind the end of the piece are wrong; the next piece overwrites them.
    store(out + x, interpolate(down.positions(rows), across.positions(columns), corner));

    // Masks instead of branches: nobody can predict where a piece ends.
    const int64_t end = std::min((std::min(down.leave, across.leave) + kCell - 1) >> 32, width_);
    const int64_t pixels = std::min<int64_t>(kLanes, end - x);
    x += pixels;
    const int64_t crossing = -static_cast<int64_t>(x == end);
    const int64_t next_row = crossing & -static_cast<int64_t>(down.leave <= across.leave);
    const int64_t next_column = crossing & ~next_row;
    down.move(pixels, next_row);
    across.move(pixels, next_column);
    node += (next_row & row_step) + (next_column & across.direction);
  }
}

void Perlin::hashed_row(int64_t y, float* out) const {
  for (int64_t x = 0; x < width_; x += kLanes) {
    Vector<uint32_t> cell[2] = {};
    Floats position[2] = {};  // from the middle of the cell
    for (int i = 0; i < 2; ++i) {
      for (int lane = 0; lane < kLanes; ++lane) {
        const int64_t at = axes_[i](y, x + lane);
        cell[i][lane] = static_cast<uint32_t>(at >> 32);
        position[i][lane] = static_cast<float>((at & (kCell - 1)) - kCell / 2) * 0x1p-32f;
      }
    }
    const auto corner = [&](int below, int right) {
      return hash(seed_, index_, (cell[0] + below) << 16 | ((cell[1] + right) & 0xFFFF));
    };
    store(out + x, interpolate(position[0], position[1], corner));
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
