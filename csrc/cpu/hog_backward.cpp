// SPDX-License-Identifier: Apache-2.0
// The gradient goes back from the blocks to a field: what a vote for a bin is worth in a column of the current row.
// A pixel reads the field at its own bins, and what it earns goes to its neighbours in the channel that it voted with.
#include <cmath>

#include "cpu.h"
#include "hog.h"
#include "hog_bins.h"
#include "hog_opencv.h"
#include "hog_skimage.h"
#include "hog_votes.h"
#include "hog_window.h"

namespace dssm {
namespace {

template <typename Real>
Real dot(const Real* a, const Real* b, int64_t count) {
  Real total = 0;
  for (int64_t i = 0; i < count; ++i) total += a[i] * b[i];
  return total;
}

// d(v / length) of a block v, where the length grows by slope * v . dv; `grad` is replaced.
template <typename Real>
void divide_backward(const Real* v, Real* grad, int64_t count, Real length, Real slope) {
  const Real pull = dot(v, grad, count) / (length * length) * slope;
  for (int64_t i = 0; i < count; ++i) grad[i] = grad[i] / length - pull * v[i];
}

template <typename Real>
struct Length {
  Real length, slope;
};

// Both steps of L2-Hys for a length that `measure` makes of a sum of squares; `v` is overwritten.
template <typename Real, typename First, typename Second>
void clipped_backward(Real* v, Real* grad, int64_t count, First first, Second second) {
  constexpr Real kMost = Real(0.2);
  const Length<Real> whole = first(dot(v, v, count));
  std::vector<Real> clipped(count);
  for (int64_t i = 0; i < count; ++i) {
    const Real scaled = v[i] / whole.length;
    clipped[i] = scaled > kMost ? kMost : scaled;
  }
  const Length<Real> rest = second(dot(clipped.data(), clipped.data(), count));
  divide_backward(clipped.data(), grad, count, rest.length, rest.slope);
  for (int64_t i = 0; i < count; ++i) grad[i] = v[i] / whole.length > kMost ? 0 : grad[i];
  divide_backward(v, grad, count, whole.length, whole.slope);
}

// `v` is a block before its normalisation; `grad` is replaced, `v` may be.
template <typename Real>
void normalize_backward(Real* v, Real* grad, int64_t count, Norm norm) {
  constexpr Real kEps = Real(1e-5);
  if (norm == Norm::l1 || norm == Norm::l1_sqrt) {
    Real length = kEps;
    for (int64_t i = 0; i < count; ++i) length += v[i];
    if (norm == Norm::l1_sqrt) {
      for (int64_t i = 0; i < count; ++i) grad[i] = v[i] == 0 ? 0 : grad[i] / (2 * std::sqrt(v[i] / length));
    }
    const Real pull = dot(v, grad, count) / (length * length);
    for (int64_t i = 0; i < count; ++i) grad[i] = grad[i] / length - pull;
    return;
  }
  const auto measure = [](Real squares) -> Length<Real> {
    const Real length = std::sqrt(squares + kEps * kEps);
    return {length, 1 / length};
  };
  if (norm == Norm::l2_hys) return clipped_backward(v, grad, count, measure, measure);
  const Length<Real> whole = measure(dot(v, v, count));
  divide_backward(v, grad, count, whole.length, whole.slope);
}

template <typename Real>
void normalize_opencv_backward(Real* v, Real* grad, int64_t count) {
  const auto measure = [](Real eps) {
    return [eps](Real squares) -> Length<Real> {
      const Real root = std::sqrt(squares);
      return {root + eps, root == 0 ? 0 : 1 / root};
    };
  };
  clipped_backward(v, grad, count, measure(Real(0.1) * count), measure(Real(1e-3)));
}

// Worth of a vote: (bin, column of the image).
template <typename Real>
class Field {
 public:
  using V = Vector<Real>;
  using I = Masks<V>;

  Field(int64_t bins, int64_t width) : bins_(bins), pitch_(padded<Real>(width)), worth_(bins * pitch_) {}

  Real* operator[](int64_t bin) { return &worth_[bin * pitch_]; }
  int64_t pitch() const { return pitch_; }

  // For the pixels x, x + 1, ..., each at its own bin.
  V at(int64_t x, I bin) const {
    V result{};
    for (int64_t i = 0; i < bins_; ++i) {
      result = bin == static_cast<Lane<I>>(i) ? load<V>(&worth_[i * pitch_ + x]) : result;
    }
    return result;
  }

 private:
  const int64_t bins_, pitch_;
  std::vector<Real> worth_;
};

// Every cell's gradient, spread over the pixels of its row of cells.
template <typename Real>
class CellField {
 public:
  CellField(const Image<Real>& image, const HogSettings& settings, const Real* grad)
      : settings_(settings),
        columns_(image.width / settings.cell[1]),
        cells_(average_cells(image, settings)),
        grads_(cells_.size()),
        field_(settings.orientations, image.width),
        bins_(settings.orientations) {
    const auto [number, count] = blocks_of(image, settings);
    std::vector<Real> blocks(number * count), grads(grad, grad + number * count);
    for_each_run(image, settings,
                 [&](int64_t cell, int64_t block, auto length) { std::copy_n(&cells_[cell], length, &blocks[block]); });
    for (int64_t i = 0; i < number; ++i) {
      normalize_backward(&blocks[i * count], &grads[i * count], count, settings.norm);
    }
    for_each_run(image, settings, [&](int64_t cell, int64_t block, auto length) {
      for (int64_t i = 0; i < length; ++i) grads_[cell + i] += grads[block + i];
    });
  }

  void begin_row(int64_t y) {
    const auto [height, width] = settings_.cell;
    if (y % height != 0) return;
    const Real scale = Real(1) / (height * width);
    for (int64_t bin = 0; bin < settings_.orientations; ++bin) {
      for (int64_t column = 0; column < columns_; ++column) {
        const Real worth = grads_[(y / height * columns_ + column) * settings_.orientations + bin] * scale;
        std::fill_n(field_[bin] + column * width, width, worth);
      }
    }
  }

  // Turns the steps of some pixels into their gradient.
  void backward(int64_t x, Steps<Real>& steps) const {
    using V = Vector<Real>;
    const V magnitude = sqrt(steps.square);
    const V pull = magnitude == 0 ? V{} : field_.at(x, bins_(steps.dy, steps.dx)) / magnitude;
    steps.dy *= pull;
    steps.dx *= pull;
  }

 private:
  const HogSettings& settings_;
  const int64_t columns_;
  const std::vector<Real> cells_;
  std::vector<Real> grads_;
  Field<Real> field_;
  const Bins<Real> bins_;
};

// The gradient of blocks under OpenCV's window, first along a row of cells for every role down, then row by row.
template <typename Real>
class WindowField {
 public:
  using V = Vector<Real>;
  using I = Masks<V>;

  WindowField(const Image<Real>& image, const HogSettings& settings, const Real* grad)
      : settings_(settings),
        window_(settings),
        share_(settings.orientations),
        rows_(image.height / settings.cell[0] - settings.block[0] + 1),
        columns_(image.width / settings.cell[1] - settings.block[1] + 1),
        field_(settings.orientations, image.width),
        roles_(window_.down.size(), field_) {
    const auto [number, count] = blocks_of(image, settings);
    std::vector<Real> blocks(number * count);
    grads_.assign(grad, grad + number * count);
    add_up_blocks(image, settings, blocks.data());
    for (int64_t i = 0; i < number; ++i) normalize_opencv_backward(&blocks[i * count], &grads_[i * count], count);
  }

  void begin_row(int64_t y) {
    const int64_t height = settings_.cell[0];
    if (y % height == 0) {
      for (size_t i = 0; i < roles_.size(); ++i) spread(y / height, window_.down[i], roles_[i]);
    }
    for (int64_t bin = 0; bin < settings_.orientations; ++bin) {
      for (int64_t x = 0; x < field_.pitch(); x += lanes<V>) {
        V total{};
        for (size_t i = 0; i < roles_.size(); ++i) {
          total = fma(load<V>(roles_[i][bin] + x), splat<V>(window_.down[i].weights[y % height]), total);
        }
        store(field_[bin] + x, total);
      }
    }
  }

  void backward(int64_t x, Steps<Real>& steps) const {
    const SharedVote<Real> vote = share_(steps);
    const V lower = field_.at(x, vote.lower), upper = field_.at(x, vote.lower == share_.last ? I{} : vote.lower + 1);
    share_backward(steps, lower, upper, vote.to_upper, share_.bins_per_radian);
  }

 private:
  void spread(int64_t row, const Role<Real>& down, Field<Real>& field) {
    const auto [height, width] = settings_.block;
    const int64_t n = settings_.orientations, block_row = row - down.cell;
    for (int64_t bin = 0; bin < n; ++bin) std::fill_n(field[bin], field.pitch(), Real(0));
    if (block_row < 0 || block_row >= rows_) return;
    for (int64_t block_column = 0; block_column < columns_; ++block_column) {
      const Real* block = &grads_[(block_column * rows_ + block_row) * height * width * n];
      for (const Role<Real>& across : window_.across) {
        const Real* from = block + (across.target * height + down.target) * n;
        const int64_t x = (block_column + across.cell) * settings_.cell[1];
        for (int64_t bin = 0; bin < n; ++bin) {
          for (int64_t i = across.begin; i < across.end; ++i) field[bin][x + i] += across.weights[i] * from[bin];
        }
      }
    }
  }

  const HogSettings& settings_;
  const Window<Real> window_;
  const Share<Real> share_;
  const int64_t rows_, columns_;
  std::vector<Real> grads_;
  Field<Real> field_;
  std::vector<Field<Real>> roles_;
};

// Gradients of the differences become those of the pixels, which lie in a frame of one pixel and some padding.
template <typename Real>
class Pixels {
 public:
  using V = Vector<Real>;
  using I = Masks<V>;

  explicit Pixels(const Image<Real>& image)
      : image_(image),
        pitch_(padded<Real>(image.width) + 2 * lanes<V>),
        grads_(image.channels * (image.height + 2) * pitch_) {}

  // Across a border of the image the difference is constant: what it earned is dropped with the frame.
  void add(int64_t y, int64_t x, const Steps<Real>& steps) {
    const bool border = y == 0 || y + 1 == image_.height;
    for (int64_t c = 0; c < image_.channels; ++c) {
      const I chosen = steps.channel == static_cast<Lane<I>>(c);
      const V dy = chosen ? steps.dy : V{}, dx = chosen ? steps.dx : V{};
      if (!border) {
        move(row(c, y + 1) + x, dy);
        move(row(c, y - 1) + x, -dy);
      }
      move(row(c, y) + x + 1, dx);
      move(row(c, y) + x - 1, -dx);
    }
  }

  // With the gradient of the square root that was taken of the pixels.
  void write(Real* out, bool sqrt) {
    std::vector<Real> pixels(image_.channels * image_.width);
    for (int64_t y = 0; y < image_.height; ++y) {
      if (sqrt) image_.read(image_, y, {0, image_.width}, pixels.data(), image_.width);
      for (int64_t c = 0; c < image_.channels; ++c) {
        const Real *from = row(c, y), *pixel = &pixels[c * image_.width];
        Real* to = out + (c * image_.height + y) * image_.width;
        for (int64_t x = 0; x < image_.width; ++x) {
          to[x] = !sqrt ? from[x] : pixel[x] == 0 ? 0 : from[x] / (2 * std::sqrt(pixel[x]));
        }
      }
    }
  }

 private:
  static void move(Real* to, V value) { store(to, load<V>(to) + value); }

  Real* row(int64_t c, int64_t y) { return &grads_[(c * (image_.height + 2) + y + 1) * pitch_ + lanes<V>]; }

  const Image<Real>& image_;
  const int64_t pitch_;
  std::vector<Real> grads_;
};

template <typename Real, typename Worth>
void backward(const Image<Real>& image, const HogSettings& settings, const Real* grad, Real* out) {
  using V = Vector<Real>;
  using I = Masks<V>;
  const auto [height, width] = settings.cell;
  const Columns columns{0, image.width / width * width};
  Worth worth(image, settings, grad);
  Gradient<Real> gradient(image, settings.sqrt, columns);
  Pixels<Real> pixels(image);
  // Nothing for the columns that fill no cell, nor for the first and the last of the image, whose dx is constant.
  std::vector<Lane<I>> inside(padded<Real>(columns.end)), voting(inside.size());
  std::fill_n(voting.begin(), columns.end, -1);
  std::copy(voting.begin(), voting.end(), inside.begin());
  inside[0] = 0;
  if (columns.end == image.width) inside[columns.end - 1] = 0;
  for (int64_t y = 0; y < image.height / height * height; ++y) {
    worth.begin_row(y);
    gradient.visit(y, [&](int64_t x, Steps<Real> steps) {
      worth.backward(x, steps);
      steps.dy = (V)((I)steps.dy & load<I>(&voting[x]));
      steps.dx = (V)((I)steps.dx & load<I>(&inside[x]));
      pixels.add(y, x, steps);
    });
  }
  pixels.write(out, settings.sqrt);
}

}  // namespace

void hog_backward_cpu(const Array& grad, const Array& image, const Array& out, const HogSettings& settings,
                      int threads) {
  visit<float, double>(out.type, [&](auto real) {
    using Real = typename decltype(real)::type;
    visit_pixels<Real>(image.type, [&](auto pixel) {
      using Pixel = typename decltype(pixel)::type;
      parallel_for(image.size[0], threads, [&](int64_t i) {
        const auto one = image_of<Pixel, Real>(image, i);
        if (settings.mode == HogMode::skimage) {
          backward<Real, CellField<Real>>(one, settings, grad.at<const Real>(i), out.at<Real>(i));
        } else {
          backward<Real, WindowField<Real>>(one, settings, grad.at<const Real>(i), out.at<Real>(i));
        }
      });
    });
  });
}

}  // namespace dssm
