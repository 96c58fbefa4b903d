// SPDX-License-Identifier: Apache-2.0
// Whitening fused with the norm. Lanes hold points that share a Gaussian: samples of a batch at one position, or
// neighbours in a map. The zeros at the end of rows of the whitening, half of an inverse Cholesky factor, cost nothing.
#include "mahalanobis.h"

#include <algorithm>
#include <vector>

#include "cpu.h"
#include "gather.h"
#include "product.h"
#include "workspace.h"

namespace dssm {
namespace {

// How a matrix (rows, points) lies in scratch memory: in panels of kColumns vectors, so that products read it in order.
template <typename V>
struct Panels {
  static constexpr int64_t kWidth = kColumns * lanes<V>;

  int64_t rows, points;  // the points are padded to whole vectors

  Panels(int64_t rows, int64_t points) : rows(rows), points((points + lanes<V> - 1) / lanes<V> * lanes<V>) {}

  int64_t size() const { return rows * points; }
  int64_t width(int64_t panel) const { return std::min(kWidth, points - panel); }
  int64_t offset(int64_t row, int64_t point) const {
    const int64_t panel = point / kWidth * kWidth;
    return panel * rows + row * width(panel) + point % kWidth;
  }

  // body(Constant<columns>(), panel) for the first point of every panel.
  template <typename Body>
  void for_panels(Body body) const {
    for (int64_t panel = 0; panel < points; panel += kWidth) {
      if (width(panel) == kWidth) {
        body(Constant<kColumns>(), panel);
      } else {
        body(Constant<1>(), panel);
      }
    }
  }
};
static_assert(kColumns == 2);

// A whitening matrix (rows, columns).
template <typename V>
class Whitening {
  using R = Lane<V>;

 public:
  const int64_t rows, columns;

  explicit Whitening(const Array& shape)
      : rows(shape.size[shape.dims - 2]),
        columns(shape.size[shape.dims - 1]),
        stride_(shape.stride[shape.dims - 2]),
        ends_((rows + kRows - 1) / kRows) {}

  void set(const R* matrix) {
    if (matrix == matrix_) return;
    matrix_ = matrix;
    for (int64_t first = 0; first < rows; first += kRows) {
      int64_t end = 0;
      for (int64_t k = std::min(first + kRows, rows) - 1; k >= first; --k) end = extent(matrix + k * stride_, end);
      ends_[first / kRows] = end;
    }
  }

  // norm[p] = || W x_p ||, and the products W x_p as well where they are wanted.
  void norms(const R* points, const Panels<V>& panels, R* norm, R* product = nullptr) const {
    for (int64_t p = 0; p < panels.points; p += lanes<V>) store(norm + p, V{});
    for_rows(rows, [&](auto count, int64_t first) {
      prefetch(matrix_ + (rows + first) * stride_, count * stride_);  // the same rows of the matrix that may follow
      panels.for_panels([&](auto width, int64_t panel) {
        const auto sums = multiply<count, width, V>(matrix_ + first * stride_, stride_, 1, points + panel * columns,
                                                    width * lanes<V>, ends_[first / kRows]);
        for (int v = 0; v < width; ++v) {
          V total = load<V>(norm + panel + v * lanes<V>);
          for (int r = 0; r < count; ++r) total = fma(sums[r][v], sums[r][v], total);
          store(norm + panel + v * lanes<V>, total);
        }
        if (product) put(sums, product, {rows, panels.points}, first, panel);
      });
    });
    add_skipped(points, panels, norm);
    for (int64_t p = 0; p < panels.points; p += lanes<V>) store(norm + p, sqrt(load<V>(norm + p)));
  }

  // points = W^T products.
  void transposed(const R* product, const Panels<V>& panels, R* points) const {
    for_rows(columns, [&](auto count, int64_t first) {
      const auto longer = std::find_if(ends_.begin(), ends_.end(), [&](int64_t end) { return end > first; });
      const int64_t k = std::min<int64_t>((longer - ends_.begin()) * kRows, rows);  // the rows before it are zero here
      panels.for_panels([&](auto width, int64_t panel) {
        constexpr int64_t kStep = width * lanes<V>;
        const auto sums = multiply<count, width, V>(matrix_ + k * stride_ + first, 1, stride_,
                                                    product + panel * rows + k * kStep, kStep, rows - k);
        put(sums, points, {columns, panels.points}, first, panel);
      });
    });
  }

 private:
  const int64_t stride_;
  const R* matrix_ = nullptr;
  std::vector<int64_t> ends_;  // of every kRows rows: the columns before the zeros that all of them end in

  // The columns before the zeros that a row ends in, or `least` if that is more.
  int64_t extent(const R* row, int64_t least) const {
    int64_t end = columns;
    for (; end - lanes<V> >= least; end -= lanes<V>) {
      const uint64_t set = bits(load<V>(row + end - lanes<V>) != 0);
      if (set) return end - lanes<V> + 64 - __builtin_clzll(set);
    }
    while (end > least && row[end - 1] == 0) --end;
    return end;
  }

  // Zero times what was skipped: nothing, unless that is infinite or NaN.
  void add_skipped(const R* points, const Panels<V>& panels, R* norm) const {
    const int64_t first = ends_.empty() ? columns : *std::min_element(ends_.begin(), ends_.end());
    for (int64_t p = 0; p < panels.points; p += lanes<V>) {
      V total = load<V>(norm + p);
      for (int64_t c = first; c < columns; ++c) total = fma(load<V>(points + panels.offset(c, p)), V{}, total);
      store(norm + p, total);
    }
  }

  static void prefetch(const R* from, int64_t count) {
    constexpr int64_t kLine = 64 / sizeof(R);
    for (int64_t i = 0; i < count; i += kLine) __builtin_prefetch(from + i);
  }

  template <size_t Rows, size_t Columns>
  static void put(const std::array<std::array<V, Columns>, Rows>& sums, R* to, const Panels<V>& panels, int64_t row,
                  int64_t panel) {
    for (size_t r = 0; r < Rows; ++r) {
      for (size_t v = 0; v < Columns; ++v) store(to + panels.offset(row + r, panel + v * lanes<V>), sums[r][v]);
    }
  }
};

// A lower triangle in the order that it is read: rows in steps of a vector, of each step the columns up to its
// diagonal. There are half as many values, and where few points share a Gaussian, reading them is all that takes time.
template <typename V>
class Triangle {
  using R = Lane<V>;

 public:
  explicit Triangle(const Array& /*triangles*/) {}

  void set(const R* values) { values_ = values; }

  static int64_t columns(int64_t first, int64_t rows) { return std::min<int64_t>(first + lanes<V>, rows); }

  static int64_t size(int64_t rows) {
    int64_t total = 0;
    for (int64_t first = 0; first < rows; first += lanes<V>) total += columns(first, rows) * lanes<V>;
    return total;
  }

  static void pack(const R* matrix, int64_t stride, int64_t rows, R* values) {
    for (int64_t first = 0; first < rows; first += lanes<V>) {
      for (int64_t column = 0; column < columns(first, rows); ++column) {
        for (int64_t row = first; row < first + lanes<V>; ++row) {
          *values++ = row < rows && column <= row ? matrix[row * stride + column] : 0;
        }
      }
    }
  }

  // norm[p] = || W x_p || of the first `count` points.
  void norms(const R* points, const Panels<V>& panels, int64_t count, R* norm) const {
    for (int64_t panel = 0; panel < count; panel += Panels<V>::kWidth) {
      const int64_t width = panels.width(panel);
      for_rows(std::min(width, count - panel), [&](auto some, int64_t point) {
        const R* values = values_;
        V squares[some] = {};
        for (int64_t first = 0; first < panels.rows; first += lanes<V>) {
          const int64_t length = columns(first, panels.rows);
          for (int64_t i = 0; i < length * lanes<V>; i += kLine) __builtin_prefetch(values + kAhead + i, 0, 0);
          const auto sums =
              multiply<some, 1, V>(points + panels.offset(0, panel + point), 1, width, values, lanes<V>, length);
          for (int r = 0; r < some; ++r) squares[r] = fma(sums[r][0], sums[r][0], squares[r]);
          values += length * lanes<V>;
        }
        for (int r = 0; r < some; ++r) norm[panel + point + r] = std::sqrt(sum(squares[r]));
      });
    }
  }

 private:
  static constexpr int64_t kLine = 64 / sizeof(R);
  static constexpr int64_t kAhead = 2048;  // values; read once, they shall not push others out of the cache

  const R* values_ = nullptr;
};

// Points (N, C) are a map of one row.
Array as_map(Array x) {
  if (x.dims == 4) return x;
  x.dims = 4;
  x.size = {1, x.size[1], 1, x.size[0]};
  x.stride = {0, x.stride[1], 0, x.stride[0]};
  return x;
}

// Points that are worked on together: `lanes` points share each of `blocks` Gaussians.
struct Group {
  bool shared;               // by neighbours of one sample, or at every position by all samples
  int64_t sample, position;  // of the first point
  int64_t lanes, blocks;

  Axis lane(const Array& x) const { return {lanes, x.stride[shared ? 3 : 0]}; }
  Axis block(const Array& x) const { return {blocks, x.stride[3]}; }
  // Where a point's distance lies in a contiguous (batch, positions).
  int64_t index(int64_t positions, int64_t block, int64_t lane) const {
    return (sample + (shared ? 0 : lane)) * positions + position + (shared ? lane : block);
  }
};

// body(group, panels, centred, whitening, choose): `centred` holds a matrix x - mean for every block of the group, and
// choose(block) sets the whitening to that of a block.
template <typename T, template <typename> class Matrix, typename Body>
void for_groups(const Array& x, const Array& mean, const Array& whiten, int threads, Body body) {
  using R = Real<T>;
  using V = Vector<R>;
  const auto [batch, channels, height, width] = sizes<4>(x);
  if (batch * height * width == 0) return;
  const bool shared = mean.dims == 1;
  const int64_t line = x.stride[2] == width * x.stride[3] ? height * width : width;  // positions of equal distance
  // 64 floats of a channel are whole lines of memory; fewer where all channels and samples would outgrow the cache.
  constexpr int64_t kMost = 64, kScratch = 1 << 18;
  const int64_t most = shared ? kMost : std::clamp(kScratch / (channels * batch + 1) / 16 * 16, kMost / 4, kMost);
  const int64_t chunks = (line + most - 1) / most, rows = height * width / line;
  Matrix<V> first(whiten);
  if (shared) first.set(whiten.as<R>());
  parallel_for((shared ? batch : 1) * rows * chunks, threads, [&, width = width, channels = channels](int64_t i) {
    const int64_t sample = i / chunks / rows, row = i / chunks % rows, column = i % chunks * most;
    const int64_t count = std::min(most, line - column);
    const Group group{shared, sample, row * line + column, shared ? count : x.size[0], shared ? 1 : count};
    const auto of_block = [&](const Array& gaussians, int64_t block) {
      const int64_t position = group.position + block;
      return shared ? gaussians.as<R>() : gaussians.at<R>(position / width, position % width);
    };
    const R* means[kMost];
    for (int64_t block = 0; block < group.blocks; ++block) means[block] = of_block(mean, block);

    const Panels<V> panels(channels, group.lanes);
    const Workspace scratch(group.blocks * panels.size() * sizeof(R) / sizeof(float));
    R* centred = reinterpret_cast<R*>(scratch.data());
    gather(x.at<T>(sample, 0, row, column), group.lane(x), {channels, x.stride[1]}, group.block(x),
           [&](int64_t block, int64_t channel, int64_t lane, V value) {
             store(centred + block * panels.size() + panels.offset(channel, lane),
                   value - splat<V>(means[block][channel]));
           });
    Matrix<V> whitening = first;
    body(group, panels, centred, whitening, [&](int64_t block) { whitening.set(of_block(whiten, block)); });
  });
}

}  // namespace

void mahalanobis_cpu(const Array& features, const Array& mean, const Array& whiten, const Array& out, int threads) {
  const Array x = as_map(features);
  const int64_t positions = x.size[2] * x.size[3];
  visit<float, double, float16, bfloat16>(x.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using R = Real<T>;
    for_groups<T, Whitening>(x, mean, whiten, threads,
                             [&](const Group& group, auto panels, R* centred, auto& whitening, auto choose) {
                               std::vector<R> norm(panels.points);
                               for (int64_t block = 0; block < group.blocks; ++block) {
                                 choose(block);
                                 whitening.norms(centred + block * panels.size(), panels, norm.data());
                                 for (int64_t lane = 0; lane < group.lanes; ++lane)
                                   out.as<R>()[group.index(positions, block, lane)] = norm[lane];
                               }
                             });
  });
}

int64_t mahalanobis_triangle(int64_t channels) { return Triangle<Floats>::size(channels); }

void mahalanobis_prepare_cpu(const Array& whiten, const Array& triangles, int threads) {
  const auto [height, width, rows] = sizes<3>(whiten);
  parallel_for(height * width, threads, [&, width = width, rows = rows](int64_t i) {
    Triangle<Floats>::pack(whiten.at<const float>(i / width, i % width), whiten.stride[2], rows,
                           triangles.at<float>(i / width, i % width));
  });
}

void mahalanobis_prepared_cpu(const Array& x, const Array& mean, const Array& triangles, const Array& out,
                              int threads) {
  const int64_t positions = x.size[2] * x.size[3];
  visit<float, float16, bfloat16>(x.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_groups<T, Triangle>(x, mean, triangles, threads,
                            [&](const Group& group, auto panels, float* centred, auto& triangle, auto choose) {
                              std::vector<float> norm(group.lanes);
                              for (int64_t block = 0; block < group.blocks; ++block) {
                                choose(block);
                                triangle.norms(centred + block * panels.size(), panels, group.lanes, norm.data());
                                for (int64_t lane = 0; lane < group.lanes; ++lane)
                                  out.as<float>()[group.index(positions, block, lane)] = norm[lane];
                              }
                            });
  });
}

// d = || y || with y = W (x - mean), so the gradient is W^T y / d times that of d.
void mahalanobis_backward_cpu(const Array& grad, const Array& features, const Array& mean, const Array& whiten,
                              const Array& gradient, int threads) {
  const Array x = as_map(features), out = as_map(gradient);
  const int64_t positions = x.size[2] * x.size[3];
  visit<float, double, float16, bfloat16>(x.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using R = Real<T>;
    using V = Vector<R>;
    for_groups<T, Whitening>(
        x, mean, whiten, threads, [&](const Group& group, auto panels, R* centred, auto& whitening, auto choose) {
          const Panels<V> whitened(whitening.rows, group.lanes);
          const Workspace scratch(whitened.size() * sizeof(R) / sizeof(float));
          R* product = reinterpret_cast<R*>(scratch.data());
          std::vector<R> norm(panels.points);
          for (int64_t block = 0; block < group.blocks; ++block) {
            choose(block);
            R* points = centred + block * panels.size();
            whitening.norms(points, panels, norm.data(), product);
            whitening.transposed(product, panels, points);
            std::vector<R>& scale = norm;
            for (int64_t lane = 0; lane < group.lanes; ++lane) {
              const R d = norm[lane];
              scale[lane] = d == 0 ? 0 : grad.as<R>()[group.index(positions, block, lane)] / d;
            }
            for (int64_t lane = 0; lane < panels.points; lane += lanes<V>) {
              for (int64_t channel = 0; channel < panels.rows; ++channel) {
                R* at = points + panels.offset(channel, lane);
                store(at, load<V>(at) * load<V>(scale.data() + lane));
              }
            }
          }
          scatter(out.as<T>() + group.sample * out.stride[0] + group.position * out.stride[3], group.lane(out),
                  {panels.rows, out.stride[1]}, group.block(out), [&](int64_t block, int64_t channel, int64_t lane) {
                    return load<V>(centred + block * panels.size() + panels.offset(channel, lane));
                  });
        });
  });
}

}  // namespace dssm
