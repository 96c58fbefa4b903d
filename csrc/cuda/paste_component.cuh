// SPDX-License-Identifier: Apache-2.0
// The largest connected component of a bit mask, by union-find in shared memory.
#pragma once

#include "block.cuh"
#include "paste_mask.cuh"

namespace dssm {

// Neighbouring pixels that are connected whenever they are set share a label: 2 x 2 for connectivity 8, 1 x 2 for 4.
struct Cells {
  static constexpr int kMax = 1 << 15;

  int tall;  // rows of pixels in a cell
  int rows, columns;

  DSSM_HOST_DEVICE Cells(int height, int width, int connectivity)
      : tall(connectivity == 8 ? 2 : 1), rows((height + tall - 1) / tall), columns((width + 1) / 2) {}

  DSSM_HOST_DEVICE int size() const { return rows * columns; }
};

class Components {
 public:
  static constexpr int kAreas = 1024;  // components whose areas are added up at a time

  // Bytes of shared memory.
  DSSM_HOST_DEVICE static int bytes(const Cells& cells) {
    return static_cast<int>(kAreas * sizeof(uint32_t)) + cells.size() * static_cast<int>(sizeof(uint16_t));
  }

  __device__ Components(const BitMask& mask, const Cells& cells, void* memory)
      : mask_(mask),
        cells_(cells),
        areas_(static_cast<uint32_t*>(memory)),
        labels_(reinterpret_cast<uint16_t*>(areas_ + kAreas)) {}

  // Clears all pixels but those of the largest component, of equal ones the first in raster order. Returns its area.
  // All threads call it when the mask is complete, and see what it left behind after the next barrier.
  __device__ int keep_largest() {
    __shared__ int count;  // of components
    if (thread() == 0) count = 0;
    label_pieces();
    __syncthreads();
    unite_pieces();
    __syncthreads();
    for_each_set([&](int cell, uint32_t) { labels_[cell] = root(cell); });
    __syncthreads();
    // Roots get numbers instead of labels. Their order is that of the threads, but nothing hangs on it.
    for_each_set([&](int cell, uint32_t) {
      if (labels_[cell] == cell) labels_[cell] = kRoot | atomicAdd(&count, 1);
    });
    __syncthreads();

    uint64_t best = 0;
    for (int first = 0; first < count; first += kAreas) best = max(best, largest_of(first));
    best = block_max(best);
    const int pixel = static_cast<int>(~static_cast<uint32_t>(best));
    keep(number(cell_of(pixel / mask_.width, pixel % mask_.width)));
    return static_cast<int>(best >> 32);
  }

 private:
  static constexpr uint32_t kRoot = 1 << 15;

  // The pixels of a cell: bits 0 and 1 are its upper row, 2 and 3 its lower one. Outside the image they are zero.
  __device__ uint32_t pixels(int i, int j) const {
    if (i < 0 || j < 0 || j >= cells_.columns) return 0;
    const int y = i * cells_.tall;
    const uint32_t upper = mask_.bits(y, 2 * j, 2);
    return cells_.tall == 2 && y + 1 < mask_.height ? upper | mask_.bits(y + 1, 2 * j, 2) << 2 : upper;
  }

  __device__ int cell_of(int y, int x) const { return y / cells_.tall * cells_.columns + x / 2; }

  // body(cell, its pixels) for cells with pixels.
  template <typename Body>
  __device__ void for_each_set(Body body) const {
    for_each(cells_.size(), [&](int cell) {
      if (const uint32_t set = pixels(cell / cells_.columns, cell % cells_.columns)) body(cell, set);
    });
  }

  __device__ static bool touch(uint32_t left, uint32_t right) { return (left & 0b1010) && (right & 0b0101); }

  // A label per piece of a row of cells; a warp looks at 32 cells.
  __device__ void label_pieces() {
    const int groups = (cells_.columns + kWarp - 1) / kWarp;
    for (int group = warp(); group < cells_.rows * groups; group += warps()) {
      const int i = group / groups, j = group % groups * kWarp + lane();
      const bool begins = lane() == 0 || !touch(pixels(i, j - 1), pixels(i, j));
      const uint32_t starts = __ballot_sync(kAllLanes, begins);
      const int start = 31 - __clz(starts << (31 - lane()) >> (31 - lane()));  // the last one up to this lane
      if (j < cells_.columns) labels_[i * cells_.columns + j] = i * cells_.columns + j - (lane() - start);
    }
  }

  __device__ void unite_pieces() {
    for_each_set([&](int cell, uint32_t here) {
      const int i = cell / cells_.columns, j = cell % cells_.columns;
      const uint32_t above = pixels(i - 1, j);
      if (j % kWarp == 0 && touch(pixels(i, j - 1), here)) unite(cell, cell - 1);
      if (cells_.tall == 1) {
        if (above & here) unite(cell, cell - cells_.columns);
        return;
      }
      if ((above & 0b1100) && (here & 0b0011)) unite(cell, cell - cells_.columns);
      if ((here & 0b0001) && (pixels(i - 1, j - 1) & 0b1000)) unite(cell, cell - cells_.columns - 1);
      if ((here & 0b0010) && (pixels(i - 1, j + 1) & 0b0100)) unite(cell, cell - cells_.columns + 1);
    });
  }

  // Labels only fall, so this ends however other threads move them.
  __device__ int root(int label) const {
    for (int next = labels_[label]; next != label; next = labels_[label]) label = next;
    return label;
  }

  // Hooks the later of two roots to the earlier one; starts again if another thread was faster.
  __device__ void unite(int a, int b) {
    a = root(a);
    b = root(b);
    while (a != b) {
      const int later = max(a, b), earlier = min(a, b);
      const auto expected = static_cast<unsigned short>(later), wanted = static_cast<unsigned short>(earlier);
      const int found = atomicCAS(const_cast<unsigned short*>(labels_) + later, expected, wanted);
      if (found == later) return;
      a = root(found);
      b = root(earlier);
    }
  }

  __device__ int number(int cell) const {
    const uint32_t label = labels_[cell];
    return static_cast<int>((label & kRoot ? label : labels_[label]) & ~kRoot);
  }

  // The highest (area, -first pixel) of components [first, first + kAreas) that this thread's cells belong to.
  __device__ uint64_t largest_of(int first) {
    for_each(kAreas, [&](int i) { areas_[i] = 0; });
    __syncthreads();
    int last = 0;  // cells that follow each other mostly belong together: one addition for all of them
    uint32_t area = 0;
    const auto add = [&] {
      if (area && last >= 0 && last < kAreas) atomicAdd(areas_ + last, area);
    };
    for_each_set([&](int cell, uint32_t set) {
      const int next = number(cell) - first;
      if (next != last) {
        add();
        last = next;
        area = 0;
      }
      area += __popc(set);
    });
    add();
    __syncthreads();
    uint64_t best = 0;
    for_each_set([&](int cell, uint32_t set) {
      const int component = number(cell) - first;
      if (component < 0 || component >= kAreas) return;
      const int upper = __ffs(set & 0b0011), lower = __ffs(set >> 2);
      const int y = cell / cells_.columns * cells_.tall + (upper == 0);
      const int x = cell % cells_.columns * 2 + (upper ? upper : lower) - 1;
      best = max(best, uint64_t{areas_[component]} << 32 | ~static_cast<uint32_t>(y * mask_.width + x));
    });
    __syncthreads();  // the areas may be used again
    return best;
  }

  // Clears all pixels but those of one component.
  __device__ void keep(int component) {
    for_each(mask_.size(), [&](int i) {
      const int y = i / mask_.pitch(), first = i % mask_.pitch() * 32;
      uint32_t kept = 0;
      for (uint32_t rest = mask_.words[i]; rest;) {
        const int x = (__ffs(rest) - 1) & ~1;
        const uint32_t both = rest & 3u << x;
        if (number(cell_of(y, first + x)) == component) kept |= both;
        rest ^= both;
      }
      mask_.words[i] = kept;
    });
  }

  BitMask mask_;
  Cells cells_;
  uint32_t* areas_;
  volatile uint16_t* labels_;  // read while other threads move them
};

}  // namespace dssm
