// SPDX-License-Identifier: Apache-2.0
// Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, CVPR 2016): a 4x4 tile of the result takes 36 products per
// pair of channels instead of 144. The 6x6 pixels that a tile sees and the weights are carried to 36 points, where the
// convolution is a matrix product per point, and the products are carried back:
//   Y = A^T [sum_c (G w_c G^T) * (B^T x_c B)] A
// F(2x2, 3x3) takes 16 products for a 2x2 tile instead of 36, and of the weights it makes less than half as many
// values: the faster one where there are too few tiles to read them for. The gradient of F(4x4, 3x3) with respect to x
// is the same convolution with the weights turned around; that with respect to w is the adjoint, G^T [sum_tiles (B^T x
// B) * (A dY A^T)] G. Everything is done to vectors of channels.
#include "convolution.h"

#include <algorithm>
#include <cmath>

#include "convolution_winograd.h"
#include "cpu.h"
#include "simd.h"
#include "workspace.h"

namespace dssm {
namespace {

constexpr int kPanel = 2 * kLanes;                  // channels of one step of a matrix product
constexpr int kRows = kRegisters == 32 ? 12 : 6;    // kRows x kPanel accumulators fill the registers
constexpr int64_t kBlockFloats = int64_t{1} << 19;  // of a block of tiles, carried to the points: stays in the cache
constexpr int64_t kGroup = 24;                      // tiles whose products, of one panel, stay in a nearer one

// Tiles are numbered row by row, image by image.
template <int Tile>
struct Tiles {
  int64_t height, width, rows, columns, count;

  explicit Tiles(const Array& image)
      : height(image.size[2]),
        width(image.size[3]),
        rows((height + Tile - 1) / Tile),
        columns((width + Tile - 1) / Tile),
        count(image.size[0] * rows * columns) {}

  // How many tiles to work on at once: full steps of kRows, and the channels' values at the points fit the cache.
  int64_t block(int64_t channels, int threads) const {
    const int64_t fitting = kBlockFloats / (kPoints<Tile> * channels), share = (count + threads - 1) / threads;
    const int64_t wanted = std::clamp<int64_t>(std::min(fitting, share), 4 * kRows, 32 * kRows);
    return (wanted + kRows - 1) / kRows * kRows;
  }
};

// A block of tiles at the points: (point, panel of channels, tile, channel of the panel).
struct Block {
  float* values;
  int64_t panels, tiles;

  float* at(int64_t point, int64_t panel, int64_t tile) const {
    return values + ((point * panels + panel) * tiles + tile) * kPanel;
  }
};

// Carries a square of every tile, `Transform::kFrom` pixels wide and starting `margin` above and left of the tile, to
// the points. Outside the image there are zeros.
template <typename Transform, int Tile>
void scatter(const Array& image, const Tiles<Tile>& tiles, int64_t first, int64_t count, int margin,
             const Block& block) {
  constexpr int kFrom = Transform::kFrom, kTo = Transform::kTo;
  for (int64_t t = 0; t < count; ++t) {
    const int64_t tile = first + t, column = tile % tiles.columns, row = tile / tiles.columns % tiles.rows;
    const int64_t top = row * Tile - margin, left = column * Tile - margin;
    const float* corner = image.at<const float>(tile / tiles.columns / tiles.rows, 0, top, left);
    const bool inside = top >= 0 && left >= 0 && top + kFrom <= tiles.height && left + kFrom <= tiles.width;
    for (int64_t panel = 0; panel < block.panels; ++panel) {
      for (int side = 0; side < kPanel; side += kLanes) {
        const float* from = corner + panel * kPanel + side;
        Floats square[kFrom][kFrom], points[kTo][kTo];
        for (int y = 0; y < kFrom; ++y) {
          for (int x = 0; x < kFrom; ++x) {
            const bool seen =
                inside || (top + y >= 0 && top + y < tiles.height && left + x >= 0 && left + x < tiles.width);
            square[y][x] = seen ? load<Floats>(from + y * image.stride[2] + x * image.stride[3]) : Floats{};
          }
        }
        both_axes<Transform>(square, points);
        for (int i = 0; i < kTo * kTo; ++i) store(block.at(i, panel, t) + side, points[i / kTo][i % kTo]);
      }
    }
  }
}

// What follows the convolution, pixel by pixel; nothing where all is missing.
struct Epilogue {
  const float* bias = nullptr;   // per channel
  const Array* added = nullptr;  // of the size of the result
  Range range = {-INFINITY, INFINITY};

  Floats operator()(Floats value, int64_t channel, int64_t sample, int64_t y, int64_t x) const {
    if (bias) value += load<Floats>(bias + channel);
    if (added) value += load<Floats>(added->at<const float>(sample, channel, y, x));
    return range.clamp(value);
  }
};

// Carries one panel of the points of every tile back to its pixels; `values` is (point, tile of kGroup, channel).
template <int Tile>
void gather(const float* values, const Tiles<Tile>& tiles, int64_t first, int64_t count, int64_t panel,
            const Epilogue& epilogue, const Array& image) {
  constexpr int kSide = kWindow<Tile>;
  for (int64_t t = 0; t < count; ++t) {
    const int64_t tile = first + t, sample = tile / tiles.columns / tiles.rows;
    const int64_t top = tile / tiles.columns % tiles.rows * Tile, left = tile % tiles.columns * Tile;
    const int64_t height = std::min<int64_t>(Tile, tiles.height - top);
    const int64_t width = std::min<int64_t>(Tile, tiles.width - left);
    float* corner = image.at<float>(sample, 0, top, left);
    for (int side = 0; side < kPanel; side += kLanes) {
      Floats points[kSide][kSide], pixels[Tile][Tile];
      for (int i = 0; i < kPoints<Tile>; ++i)
        points[i / kSide][i % kSide] = load<Floats>(values + (i * kGroup + t) * kPanel + side);
      both_axes<OutputTransform<Tile>>(points, pixels);
      const int64_t channel = panel * kPanel + side;
      for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
          store(corner + channel + y * image.stride[2] + x * image.stride[3],
                epilogue(pixels[y][x], channel, sample, top + y, left + x));
        }
      }
    }
  }
}

// Weights at the points, in the order that `multiply` reads them: (panel of results, point, input, result of the
// panel). `turned` makes those of the gradient: inputs and results change places and the kernel is turned around.
template <int Tile>
void prepare(const Array& weight, bool turned, float* prepared, int threads) {
  constexpr int kSide = kWindow<Tile>;
  const int64_t outputs = weight.size[turned ? 1 : 0], inputs = weight.size[turned ? 0 : 1];
  const int64_t output_stride = weight.stride[turned ? 1 : 0], input_stride = weight.stride[turned ? 0 : 1];
  parallel_for(outputs / kPanel, threads, [&](int64_t panel) {
    for (int64_t input = 0; input < inputs; ++input) {
      const float* from = weight.as<const float>() + input * input_stride + panel * kPanel * output_stride;
      float* to = prepared + (panel * kPoints<Tile> * inputs + input) * kPanel;
      for (int side = 0; side < kPanel; side += kLanes) {
        Floats kernel[kKernel][kKernel], points[kSide][kSide];
        for (int i = 0; i < kKernel * kKernel; ++i) {
          const int at = turned ? kKernel * kKernel - 1 - i : i;
          const float* value = from + at / kKernel * weight.stride[2] + at % kKernel * weight.stride[3];
          for (int lane = 0; lane < kLanes; ++lane)
            kernel[i / kKernel][i % kKernel][lane] = value[lane * output_stride];
        }
        both_axes<WeightTransform<Tile>>(kernel, points);
        for (int i = 0; i < kPoints<Tile>; ++i) store(to + side + i * inputs * kPanel, points[i / kSide][i % kSide]);
        from += kLanes * output_stride;
      }
    }
  });
}

// Where in memory to read on ahead of need, and how far with every step.
struct Ahead {
  const float* next;
  int64_t stride;

  void step() {
    __builtin_prefetch(next);
    next += stride;
  }
};

// Rows of tiles times one panel of results: out[r] = sum over inputs of a[r][input] * b[input]. `step` leads from the
// tiles' values in one panel of inputs to those in the next.
template <int Rows>
void multiply(const float* a, int64_t step, const float* b, int64_t panels, Ahead& ahead, float* out) {
  Floats left[Rows]{}, right[Rows]{};
  for (int64_t panel = 0; panel < panels; ++panel, a += step) {
    for (int i = 0; i < kPanel; ++i, b += kPanel) {
      ahead.step();
      const Floats b_left = load<Floats>(b), b_right = load<Floats>(b + kLanes);
#pragma GCC unroll 12
      for (int r = 0; r < Rows; ++r) {
        const Floats value = splat<Floats>(a[r * kPanel + i]);
        left[r] = fma(value, b_left, left[r]);
        right[r] = fma(value, b_right, right[r]);
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) {
    store(out + r * kPanel, left[r]);
    store(out + r * kPanel + kLanes, right[r]);
  }
}

// The same for `count` tiles.
template <int Rows = kRows>
void multiply_all(int64_t count, const float* a, int64_t step, const float* b, int64_t panels, Ahead& ahead,
                  float* out) {
  for (; count >= Rows; count -= Rows, a += Rows * kPanel, out += Rows * kPanel) {
    multiply<Rows>(a, step, b, panels, ahead, out);
  }
  if constexpr (Rows > 1) {
    if (count > 0) multiply_all<Rows - 1>(count, a, step, b, panels, ahead, out);
  }
}

// Rows of inputs times one panel of results: out[r] = sum over tiles of a[t][r] * b[t], added to what is there unless
// it is `fresh`.
template <int Rows>
void accumulate(const float* a, const float* b, int64_t tiles, bool fresh, float* out) {
  Floats left[Rows]{}, right[Rows]{};
#pragma GCC unroll 12
  for (int r = 0; r < Rows && !fresh; ++r) {
    left[r] = load<Floats>(out + r * kPanel);
    right[r] = load<Floats>(out + r * kPanel + kLanes);
  }
  for (int64_t t = 0; t < tiles; ++t, a += kPanel, b += kPanel) {
    const Floats b_left = load<Floats>(b), b_right = load<Floats>(b + kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      const Floats value = splat<Floats>(a[r]);
      left[r] = fma(value, b_left, left[r]);
      right[r] = fma(value, b_right, right[r]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) {
    store(out + r * kPanel, left[r]);
    store(out + r * kPanel + kLanes, right[r]);
  }
}

template <int Tile>
void convolve(const Array& x, const float* prepared, const Epilogue& epilogue, const Array& out, int threads) {
  constexpr int64_t kSlice = 4;  // tiles that a thread carries to the points at a time
  const Tiles<Tile> tiles(x);
  const int64_t inputs = x.size[1], panels = out.size[1] / kPanel;
  const int64_t size = tiles.block(inputs, threads), blocks = (tiles.count + size - 1) / size;
  prefer_large_pages(out.data, out.count() * sizeof(float));
  // Threads share a block where there are too few.
  const int inner = blocks < threads ? threads : 1, outer = blocks < threads ? 1 : threads;
  parallel_for(blocks, outer, [&](int64_t i) {
    const Workspace before(kPoints<Tile> * inputs * size);
    const Block from{before.data(), inputs / kPanel, size};
    const int64_t first = i * size, count = std::min(size, tiles.count - first);
    parallel_for((count + kSlice - 1) / kSlice, inner, [&](int64_t slice) {
      const int64_t begin = slice * kSlice;
      const Block some{from.at(0, 0, begin), from.panels, size};
      scatter<InputTransform<Tile>>(x, tiles, first + begin, std::min(kSlice, count - begin), 1, some);
    });
    parallel_for(panels, inner, [&](int64_t panel) {
      const float* weights = prepared + panel * kPoints<Tile> * inputs * kPanel;
      alignas(64) float products[kPoints<Tile> * kGroup * kPanel];
      for (int64_t t = 0; t < count; t += kGroup) {
        const int64_t some = std::min(kGroup, count - t), passes = (some + kRows - 1) / kRows;
        for (int64_t point = 0; point < kPoints<Tile>; ++point) {
          const float* b = weights + point * inputs * kPanel;
          Ahead next{b + inputs * kPanel, kPanel / passes};  // the weights of the next point, or of the next panel
          multiply_all(some, from.at(point, 0, t), size * kPanel, b, from.panels, next,
                       products + point * kGroup * kPanel);
        }
        gather(products, tiles, first + t, some, panel, epilogue, out);
      }
    });
  });
}

template <int Tile>
void convolve_once(const Array& x, const Array& weight, bool turned, const Epilogue& epilogue, const Array& out,
                   int threads) {
  const Workspace prepared(kPoints<Tile> * x.size[1] * out.size[1]);
  prepare<Tile>(weight, turned, prepared.data(), threads);
  convolve<Tile>(x, prepared.data(), epilogue, out, threads);
}

// Whether so many values are weights at the points of F(2x2, 3x3).
bool of_small_tiles(const Array& prepared, const Array& weight) {
  return prepared.count() == kPoints<2> * weight.size[0] * weight.size[1];
}

}  // namespace

int convolution_panel() { return kPanel; }

void convolution_cpu(const Array& x, const Array& weight, const Array& out, int threads) {
  convolve_once<4>(x, weight, false, {}, out, threads);
}

void convolution_prepare_cpu(const Array& weight, const Array& prepared, int threads) {
  if (of_small_tiles(prepared, weight)) {
    prepare<2>(weight, false, prepared.as<float>(), threads);
  } else {
    prepare<4>(weight, false, prepared.as<float>(), threads);
  }
}

void convolution_fused_cpu(const Array& x, const Array& weight, const Array& prepared, const Array& bias,
                           const Array& added, float low, float high, const Array& out, int threads) {
  const Epilogue epilogue{bias.as<const float>(), added ? &added : nullptr, {low, high}};
  if (!prepared) {
    convolve_once<4>(x, weight, false, epilogue, out, threads);
  } else if (of_small_tiles(prepared, weight)) {
    convolve<2>(x, prepared.as<const float>(), epilogue, out, threads);
  } else {
    convolve<4>(x, prepared.as<const float>(), epilogue, out, threads);
  }
}

void convolution_backward_x_cpu(const Array& grad, const Array& weight, const Array& grad_x, int threads) {
  convolve_once<4>(grad, weight, true, {}, grad_x, threads);
}

void convolution_backward_weight_cpu(const Array& grad, const Array& x, const Array& grad_weight, int threads) {
  const Tiles<4> tiles(x);
  const int64_t inputs = x.size[1], outputs = grad.size[1];
  const int64_t size = tiles.block(std::max(inputs, outputs), 1);
  const Workspace before(kPoints<4> * inputs * size), after(kPoints<4> * outputs * size);
  const Block from{before.data(), inputs / kPanel, size}, to{after.data(), outputs / kPanel, size};
  // (point, panel of inputs, panel of results, input of the panel, result of the panel)
  const Workspace products(kPoints<4> * inputs * outputs);
  constexpr int64_t kSlice = 4;  // tiles that a thread carries to the points at a time
  for (int64_t first = 0; first < tiles.count; first += size) {
    const int64_t count = std::min(size, tiles.count - first);
    parallel_for((count + kSlice - 1) / kSlice, threads, [&](int64_t slice) {
      const int64_t begin = slice * kSlice, length = std::min(kSlice, count - begin);
      const Block some_from{from.at(0, 0, begin), from.panels, size}, some_to{to.at(0, 0, begin), to.panels, size};
      scatter<InputTransform<4>>(x, tiles, first + begin, length, 1, some_from);
      scatter<GradientTransform>(grad, tiles, first + begin, length, 0, some_to);
    });
    parallel_for(kPoints<4>, threads, [&](int64_t point) {
      for (int64_t input = 0; input < from.panels; ++input) {
        for (int64_t output = 0; output < to.panels; ++output) {
          const float *a = from.at(point, input, 0), *b = to.at(point, output, 0);
          float* out = &products[((point * from.panels + input) * to.panels + output) * kPanel * kPanel];
          int row = 0;
          for (; row + kRows <= kPanel; row += kRows)
            accumulate<kRows>(a + row, b, count, first == 0, out + row * kPanel);
          accumulate<kPanel % kRows>(a + row, b, count, first == 0, out + row * kPanel);
        }
      }
    });
  }
  parallel_for(inputs, threads, [&](int64_t input) {
    for (int64_t output = 0; output < outputs; output += kLanes) {
      const int64_t panel = input / kPanel * to.panels + output / kPanel;
      const float* from_points = &products[(panel * kPanel + input % kPanel) * kPanel + output % kPanel];
      Floats points[kWindow<4>][kWindow<4>], kernel[kKernel][kKernel];
      for (int i = 0; i < kPoints<4>; ++i) {
        points[i / kWindow<4>][i % kWindow<4>] = load<Floats>(from_points + i * inputs * outputs);
      }
      both_axes<ProductTransform>(points, kernel);
      float* value = grad_weight.at<float>(output, input);
      for (int lane = 0; lane < kLanes; ++lane, value += grad_weight.stride[0]) {
        for (int i = 0; i < kKernel * kKernel; ++i) {
          const int64_t at = i / kKernel * grad_weight.stride[2] + i % kKernel * grad_weight.stride[3];
          value[at] = kernel[i / kKernel][i % kKernel][lane];
        }
      }
    }
  });
}

}  // namespace dssm
