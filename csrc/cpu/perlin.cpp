// SPDX-License-Identifier: Apache-2.0
// Perlin noise: fixed-point positions, hashed gradients in a table of the nodes that the image covers.
#include "perlin.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu.h"
#include "philox.h"

namespace dssm {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Pixel (y, x) lies at origin + y * per_y + x * per_x, in 2^-32 cells.
struct Axis {
  int64_t origin, per_y, per_x;

  int64_t operator()(int64_t y, int64_t x) const { return origin + y * per_y + x * per_x; }
};

struct Placement {
  Axis row, column;
};

int64_t fixed(double cells) { return static_cast<int64_t>(std::nearbyint(cells * 0x1p32)); }

Placement place(uint64_t index, const std::array<int64_t, 2>& size, uint64_t seed,
                const std::array<int64_t, 2>& resolution, bool rotate) {
  const auto words = philox(seed, index, Stream::shape, 0);
  const double height = static_cast<double>(size[0]), width = static_cast<double>(size[1]);
  const double rows = std::ldexp(1.0, static_cast<int>(integer(words[0], resolution[0], resolution[1]))) / height;
  const double columns = std::ldexp(1.0, static_cast<int>(integer(words[1], resolution[0], resolution[1]))) / width;
  const double angle = rotate ? (static_cast<double>(uniform(words[2])) - 0.5) * kPi : 0.0;
  const double cos = std::cos(angle), sin = std::sin(angle);
  const double y = (1 - height) / 2, x = (1 - width) / 2;
  return {{fixed((cos * y - sin * x + height / 2) * rows), fixed(cos * rows), fixed(-sin * rows)},
          {fixed((sin * y + cos * x + width / 2) * columns), fixed(sin * columns), fixed(cos * columns)}};
}

struct Gradient {
  float row, column;
};

Gradient hash(uint64_t seed, uint64_t index, int64_t i, int64_t j) {
  const uint32_t draw = static_cast<uint32_t>((i & 0xFFFF) << 16 | (j & 0xFFFF));
  const double angle = static_cast<double>(uniform(philox(seed, index, Stream::gradient, draw)[0])) * (2 * kPi);
  return {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
}

// The cells [first, last] that an axis reaches; it is linear, so the corners of the image are its extremes.
struct Range {
  int64_t first, last;

  Range(const Axis& axis, const std::array<int64_t, 2>& size) {
    const int64_t bottom = size[0] - 1, right = size[1] - 1;
    const auto ends = std::minmax({axis(0, 0), axis(0, right), axis(bottom, 0), axis(bottom, right)});
    first = ends.first >> 32;
    last = ends.second >> 32;
  }
  int64_t nodes() const { return last - first + 2; }
};

float fade(float t) { return t * t * t * (t * (t * 6 - 15) + 10); }

float lerp(float a, float b, float weight) { return a + weight * (b - a); }

float fraction(int64_t position) { return static_cast<float>(position >> 8 & 0xFFFFFF) * 0x1p-24f; }

template <typename Lattice>
void fill(float* out, const Placement& at, const std::array<int64_t, 2>& size, Lattice gradient) {
  for (int64_t y = 0; y < size[0]; ++y) {
    for (int64_t x = 0; x < size[1]; ++x) {
      const int64_t u = at.row(y, x), v = at.column(y, x);
      const int64_t i = u >> 32, j = v >> 32;
      const float s = fraction(u), t = fraction(v);
      const auto corner = [&](int below, int right) {
        const Gradient g = gradient(i + below, j + right);
        return g.row * (s - below) + g.column * (t - right);
      };
      const float weight = fade(t);
      const float upper = lerp(corner(0, 0), corner(0, 1), weight);
      const float lower = lerp(corner(1, 0), corner(1, 1), weight);
      *out++ = lerp(upper, lower, fade(s)) * 1.41421356237309504880f;
    }
  }
}

}  // namespace

void perlin_plane(float* out, uint64_t index, const std::array<int64_t, 2>& size, uint64_t seed,
                  const std::array<int64_t, 2>& resolution, bool rotate) {
  const Placement at = place(index, size, seed, resolution, rotate);
  const Range rows(at.row, size), columns(at.column, size);
  // A lattice far finer than the image is hashed where it is met, not tabulated.
  if (rows.nodes() * columns.nodes() > 4 * size[0] * size[1]) {
    fill(out, at, size, [&](int64_t i, int64_t j) { return hash(seed, index, i, j); });
    return;
  }
  std::vector<Gradient> table;
  table.reserve(rows.nodes() * columns.nodes());
  for (int64_t i = rows.first; i <= rows.last + 1; ++i) {
    for (int64_t j = columns.first; j <= columns.last + 1; ++j) table.push_back(hash(seed, index, i, j));
  }
  fill(out, at, size, [&, width = columns.nodes()](int64_t i, int64_t j) {
    return table[(i - rows.first) * width + j - columns.first];
  });
}

void perlin_cpu(const Array& index, const Array& out, uint64_t seed, const std::array<int64_t, 2>& resolution,
                bool rotate, int threads) {
  const std::array<int64_t, 2> size{out.size[1], out.size[2]};
  parallel_for(out.size[0], threads, [&](int64_t sample) {
    perlin_plane(out.at<float>(sample), *index.at<int64_t>(sample), size, seed, resolution, rotate);
  });
}

}  // namespace dssm
