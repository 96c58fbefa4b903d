// SPDX-License-Identifier: Apache-2.0
// A defect per image in one kernel: noise, bits, union-find, the search of an area, and the blend, all of a sample in
// one block. Its mask never leaves shared memory before it is final, and noise is computed again rather than kept.
// So a small batch leaves multiprocessors idle; spreading the blend over more blocks would take a second launch.
#include "launch.cuh"
#include "paste.h"
#include "paste_blend.cuh"
#include "paste_component.cuh"
#include "paste_mask.cuh"
#include "paste_noise.cuh"
#include "paste_rectangle.h"

extern __shared__ uint4 dynamic_shared[];  // the bit mask, then the gradients of the noise or labels and areas

namespace dssm {
namespace {

constexpr int kMaxThreads = kMaxWarps * kWarp;
constexpr int kStaticShared = 1 << 10;  // at least the bytes of variables in shared memory

struct PasteArrays {
  Array image, source, index, kind, out, mask, alpha;
};

// Bytes of the bit mask, in whole uint4.
DSSM_HOST_DEVICE int64_t mask_bytes(int64_t height, int64_t width) {
  return (height * ((width + 31) / 32) + 3) / 4 * 16;
}

// The largest component of noise > level, for the level that `noise_mask` of dssm/reference/paste.py finds.
__device__ void find_noise_mask(const BitMask& mask, void* memory, uint64_t index, const PasteSettings& settings) {
  const auto [least, most] = settings.area;
  const Cells cells(mask.height, mask.width, settings.connectivity);
  Components components(mask, cells, memory);
  __shared__ Lattice lattice;
  if (thread() == 0) lattice = Lattice(index, settings.seed, {mask.height, mask.width}, settings.resolution, true);
  __syncthreads();
  const int capacity = Components::bytes(cells) / static_cast<int>(sizeof(float2));
  const Noise noise(lattice, settings.seed, index, static_cast<float2*>(memory), capacity);

  float level = settings.threshold, peak = INFINITY;
  bool risen = false;
  for (int moves = 0;;) {
    noise.tabulate();  // anew, for its place was that of labels
    __syncthreads();
    const float highest = block_max(set_above(mask, noise, level, peak));
    if (peak == INFINITY) {
      peak = highest;
      if (!(peak > level)) {
        level = peak - 0.1f * fabsf(peak);
        continue;
      }
    }
    const int area = components.keep_largest();
    __syncthreads();
    if (moves++ == kPasteSteps) return;
    if (area > most) {
      level += (peak - level) / 4;
      risen = true;
    } else if (area < least && !risen) {
      level -= 0.05f;
    } else {
      return;
    }
  }
}

template <typename Pixel>
__device__ void paste_pixels(const PasteArrays& arrays, int64_t b, const BitMask& mask, const Rectangle& rectangle,
                             const PasteSettings& settings) {
  const Array &image = arrays.image, &source = arrays.source, &out = arrays.out;
  const uint64_t index = *arrays.index.at<int64_t>(b);
  const auto kind = static_cast<Kind>(*arrays.kind.at<int64_t>(b));
  const float weight = kind == noise ? static_cast<float>(noise_weight(index, settings)) / 65536 : 0;
  if (thread() == 0) *arrays.alpha.at<float>(b) = weight;
  blend<Pixel>(image, out, b, mask, Mix<Pixel>(weight), [&](int64_t c, int y, int x) {
    if (kind == noise) return *source.at<Pixel>(b, c, y, x);
    const auto [row, column] = rectangle.origin(y, x);
    return tint(*image.at<Pixel>(b, c, row, column), gain(index, kind, c, settings));
  });
}

// For all types of pixels, of `bytes` bytes: one for each would find the same masks and take five times as long to
// compile.
__global__ void __launch_bounds__(kMaxThreads)
    paste_kernel(const PasteArrays arrays, const PasteSettings settings, int bytes) {
  __shared__ Rectangle rectangle;
  const int64_t b = blockIdx.x;
  const uint64_t index = *arrays.index.at<int64_t>(b);
  const auto kind = static_cast<Kind>(*arrays.kind.at<int64_t>(b));
  const int height = static_cast<int>(arrays.image.size[2]), width = static_cast<int>(arrays.image.size[3]);
  const BitMask mask{reinterpret_cast<uint32_t*>(dynamic_shared), height, width};
  if (kind == noise) {
    find_noise_mask(mask, dynamic_shared + mask_bytes(height, width) / sizeof(uint4), index, settings);
  } else {
    if (thread() == 0) rectangle = Rectangle(index, kind, {height, width}, settings);
    __syncthreads();
    draw(mask, rectangle);
    __syncthreads();
  }
  store(mask, arrays.mask.at<uint8_t>(b));
  copy_image(arrays.image, arrays.out, bytes, b);
  __syncthreads();
  const auto paste = [&](auto pixel) {
    paste_pixels<typename decltype(pixel)::type>(arrays, b, mask, rectangle, settings);
  };
  switch (arrays.image.type) {
    case Type::uint8:
      return paste(Tag<uint8_t>());
    case Type::float16:
      return paste(Tag<float16>());
    case Type::bfloat16:
      return paste(Tag<bfloat16>());
    case Type::float32:
      return paste(Tag<float>());
    default:
      return paste(Tag<double>());
  }
}

// Bytes of dynamic shared memory that an image takes; more than any device has if it has too many cells.
int64_t shared_bytes(int64_t height, int64_t width, int connectivity) {
  constexpr int64_t kNever = int64_t{1} << 40;
  if (height > Cells::kMax || width > Cells::kMax) return kNever;
  const Cells cells(static_cast<int>(height), static_cast<int>(width), connectivity);
  if (int64_t{cells.rows} * cells.columns > Cells::kMax) return kNever;
  return mask_bytes(height, width) + Components::bytes(cells);
}

}  // namespace

std::string paste_unusable() {
  cudaFuncAttributes attributes;
  const cudaError_t status = cudaFuncGetAttributes(&attributes, paste_kernel);
  return status == cudaSuccess ? "" : cudaGetErrorString(status);
}

bool paste_fits(int64_t height, int64_t width, int connectivity, int device) {
  int limit = 0;
  check(cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  return shared_bytes(height, width, connectivity) + kStaticShared <= limit;
}

void paste_cuda(const Array& image, const Array& source, const Array& index, const Array& kind, const Array& out,
                const Array& mask, const Array& alpha, const PasteSettings& settings, int threads, int device,
                void* stream) {
  const int64_t shared = shared_bytes(image.size[2], image.size[3], settings.connectivity);
  int bytes = 0;
  visit<uint8_t, float16, bfloat16, float, double>(image.type,
                                                   [&](auto pixel) { bytes = sizeof(typename decltype(pixel)::type); });
  const PasteArrays arrays{image, source, index, kind, out, mask, alpha};
  launch(paste_kernel, image.size[0], threads, shared, device, stream, arrays, settings, bytes);
}

}  // namespace dssm
