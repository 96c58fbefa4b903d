// SPDX-License-Identifier: Apache-2.0
// The transforms of Winograd's F(4x4, 3x3), with the points 0, 1, -1, 2, -2 and infinity, and of F(2x2, 3x3), with 0,
// 1, -1 and infinity, of numbers or vectors. Each is one-dimensional; `both_axes` applies it to the rows and then to
// the columns of a square.
#pragma once

namespace dssm {

constexpr int kKernel = 3;
template <int Tile>
constexpr int kWindow = Tile + kKernel - 1;
template <int Tile>
constexpr int kPoints = kWindow<Tile> * kWindow<Tile>;

// B^T d
template <int Tile>
struct InputTransform;

template <>
struct InputTransform<4> {
  static constexpr int kFrom = 6, kTo = 6;

  template <typename T>
  static void apply(const T* d, T* out) {
    const T a = d[4] - 4 * d[2], b = d[3] - 4 * d[1], c = d[4] - d[2], e = 2 * (d[3] - d[1]);
    out[0] = 4 * d[0] - 5 * d[2] + d[4];
    out[1] = a + b;
    out[2] = a - b;
    out[3] = c + e;
    out[4] = c - e;
    out[5] = 4 * d[1] - 5 * d[3] + d[5];
  }
};

template <>
struct InputTransform<2> {
  static constexpr int kFrom = 4, kTo = 4;

  template <typename T>
  static void apply(const T* d, T* out) {
    out[0] = d[0] - d[2];
    out[1] = d[1] + d[2];
    out[2] = d[2] - d[1];
    out[3] = d[1] - d[3];
  }
};

// G w
template <int Tile>
struct WeightTransform;

template <>
struct WeightTransform<4> {
  static constexpr int kFrom = kKernel, kTo = 6;

  template <typename T>
  static void apply(const T* w, T* out) {
    const T even = w[0] + w[2], wide = w[0] + 4 * w[2];
    out[0] = w[0] * (1 / 4.0f);
    out[1] = (even + w[1]) * (-1 / 6.0f);
    out[2] = (even - w[1]) * (-1 / 6.0f);
    out[3] = (wide + 2 * w[1]) * (1 / 24.0f);
    out[4] = (wide - 2 * w[1]) * (1 / 24.0f);
    out[5] = w[2];
  }
};

template <>
struct WeightTransform<2> {
  static constexpr int kFrom = kKernel, kTo = 4;

  template <typename T>
  static void apply(const T* w, T* out) {
    const T even = w[0] + w[2];
    out[0] = w[0];
    out[1] = (even + w[1]) * 0.5f;
    out[2] = (even - w[1]) * 0.5f;
    out[3] = w[2];
  }
};

// A^T m
template <int Tile>
struct OutputTransform;

template <>
struct OutputTransform<4> {
  static constexpr int kFrom = 6, kTo = 4;

  template <typename T>
  static void apply(const T* m, T* out) {
    const T a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
    out[0] = m[0] + a + c;
    out[1] = b + 2 * d;
    out[2] = a + 4 * c;
    out[3] = b + 8 * d + m[5];
  }
};

template <>
struct OutputTransform<2> {
  static constexpr int kFrom = 4, kTo = 2;

  template <typename T>
  static void apply(const T* m, T* out) {
    out[0] = m[0] + m[1] + m[2];
    out[1] = m[1] - m[2] - m[3];
  }
};

// A g, the adjoint of OutputTransform<4>
struct GradientTransform {
  static constexpr int kFrom = 4, kTo = 6;

  template <typename T>
  static void apply(const T* g, T* out) {
    const T a = g[0] + g[2], b = g[1] + g[3], c = g[0] + 4 * g[2], d = 2 * g[1] + 8 * g[3];
    out[0] = g[0];
    out[1] = a + b;
    out[2] = a - b;
    out[3] = c + d;
    out[4] = c - d;
    out[5] = g[3];
  }
};

// G^T m, the adjoint of WeightTransform<4>
struct ProductTransform {
  static constexpr int kFrom = 6, kTo = kKernel;

  template <typename T>
  static void apply(const T* m, T* out) {
    const T a = m[1] + m[2], b = m[2] - m[1], c = m[3] + m[4], d = m[3] - m[4];
    out[0] = m[0] * (1 / 4.0f) - a * (1 / 6.0f) + c * (1 / 24.0f);
    out[1] = b * (1 / 6.0f) + d * (1 / 12.0f);
    out[2] = (c - a) * (1 / 6.0f) + m[5];
  }
};

template <typename Transform, typename T>
void both_axes(const T (&in)[Transform::kFrom][Transform::kFrom], T (&out)[Transform::kTo][Transform::kTo]) {
  constexpr int kFrom = Transform::kFrom, kTo = Transform::kTo;
  T half[kTo][kFrom];  // transposed, so that both passes read rows
  for (int i = 0; i < kFrom; ++i) {
    T row[kTo];
    Transform::apply(in[i], row);
    for (int j = 0; j < kTo; ++j) half[j][i] = row[j];
  }
  for (int j = 0; j < kTo; ++j) {
    T column[kTo];
    Transform::apply(half[j], column);
    for (int i = 0; i < kTo; ++i) out[i][j] = column[i];
  }
}

}  // namespace dssm
