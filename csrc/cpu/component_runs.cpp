// SPDX-License-Identifier: Apache-2.0
#include "component_runs.h"

#include <algorithm>

#include "simd.h"

namespace dssm {
namespace {

using Bytes = Vector<uint8_t>;

// 64 bytes of a mask as bits.
uint64_t pack(const uint8_t* mask) {
  uint64_t word = 0;
  for (int i = 0; i < 64; i += kVectorBytes) word |= bits(load<Bytes>(mask + i) != 0) << i;
  return word;
}

void pack_row(const uint8_t* mask, int64_t width, int64_t stride, uint64_t* words) {
  uint8_t buffer[64] = {};
  for (int64_t x = 0; x < width; x += 64, mask += 64 * stride) {
    if (stride == 1 && x + 64 <= width) {
      *words++ = pack(mask);
      continue;
    }
    for (int64_t i = 0; i < 64; ++i) buffer[i] = x + i < width ? mask[i * stride] : 0;
    *words++ = pack(buffer);
  }
}

// Room for `size` values; growth doubles, as that of push_back.
void grow(std::vector<int32_t>& values, std::size_t size) {
  if (values.size() < size) values.resize(std::max(size, 2 * values.size()));
}

}  // namespace

void Runs::start(int64_t width, int connectivity) {
  width_ = width;
  reach_ = connectivity == 8 ? 1 : 0;
  row_.assign(1, 0);
}

void Runs::add_row(const uint8_t* pixels, int64_t stride) {
  words_.resize((width_ + 63) / 64);
  pack_row(pixels, width_, stride, words_.data());
  add_row(words_.data());
}

void Runs::add_row(const uint64_t* bits) {
  const int32_t first = row_.back();
  grow(borders_, 2 * first + width_ + 1);
  int32_t* border = &borders_[2 * first];
  uint64_t before = 0;  // the pixel to the left of the word
  for (int64_t x = 0; x < width_; x += 64) {
    const uint64_t word = bits[x / 64];
    for (uint64_t edges = word ^ (word << 1 | before); edges; edges &= edges - 1) {
      *border++ = static_cast<int32_t>(x + __builtin_ctzll(edges));
    }
    before = word >> 63;
  }
  if (before) *border++ = static_cast<int32_t>(width_);

  const int32_t last = static_cast<int32_t>((border - borders_.data()) / 2);
  grow(parent_, last);
  for (int32_t run = first; run < last; ++run) parent_[run] = run;
  const int32_t* ends = borders_.data();
  int32_t above = row_.size() > 1 ? row_[row_.size() - 2] : first, here = first;
  while (above < first && here < last) {
    if (ends[2 * above + 1] + reach_ <= ends[2 * here]) {
      ++above;
    } else if (ends[2 * here + 1] + reach_ <= ends[2 * above]) {
      ++here;
    } else {
      join(above, here);
      ends[2 * above + 1] < ends[2 * here + 1] ? ++above : ++here;
    }
  }
  row_.push_back(last);
}

int32_t Runs::root(int32_t run) {
  while (parent_[run] != run) run = parent_[run] = parent_[parent_[run]];  // path halving
  return run;
}

// The earlier root stays one, so a root is the run that comes first in raster order.
void Runs::join(int32_t a, int32_t b) {
  a = root(a);
  b = root(b);
  parent_[std::max(a, b)] = std::min(a, b);
}

void Runs::find_areas() {
  const int32_t count = row_.back();
  area_.assign(count, 0);
  for (int32_t run = 0; run < count; ++run) {
    const int32_t first = parent_[run] = parent_[parent_[run]];  // earlier runs know their roots already
    area_[first] += borders_[2 * run + 1] - borders_[2 * run];
  }
}

int64_t Runs::find_largest() {
  find_areas();
  const int32_t count = row_.back();
  largest_.resize(count);
  if (count == 0) return 0;
  const auto best = std::max_element(area_.begin(), area_.end());  // the first of equal ones
  const int32_t wanted = static_cast<int32_t>(best - area_.begin());
  Span* next = largest_.data();
  for (std::size_t y = 0; y + 1 < row_.size(); ++y) {
    for (int32_t run = row_[y]; run < row_[y + 1]; ++run) {
      *next = {static_cast<int32_t>(y), borders_[2 * run], borders_[2 * run + 1]};
      next += parent_[run] == wanted;  // no branch: nobody can predict it
    }
  }
  largest_.resize(next - largest_.data());
  return *best;
}

}  // namespace dssm
