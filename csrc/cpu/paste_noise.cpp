// SPDX-License-Identifier: Apache-2.0
// A row of noise becomes bits and runs at once; the plane is kept only where its level has to be searched.
#include "paste_noise.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "simd.h"

namespace dssm {
namespace {

constexpr int64_t kBand = 2048;  // values computed before the first is read: by then its store is long done
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// noise > level or noise >= peak, in one comparison: noise >= bound.
float bound(float level, float peak) { return std::min(std::nextafter(level, kInfinity), peak); }

float maximum(const float* values, int64_t count) {
  Floats highest = splat<Floats>(-kInfinity);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) highest = max(highest, load<Floats>(values + i));
  float result = -kInfinity;
  for (int lane = 0; lane < kLanes; ++lane) result = std::max(result, highest[lane]);
  for (; i < count; ++i) result = std::max(result, values[i]);
  return result;
}

}  // namespace

const Runs& NoiseMask::find(uint64_t index, const std::array<int64_t, 2>& size, const PasteSettings& settings) {
  const auto [height, width] = size;
  const auto [least, most] = settings.area;
  const int64_t pitch = (width + 63) / 64 * 64;  // whole words of bits
  perlin_.place(index, {size, settings.seed, settings.resolution, true});
  words_.resize(pitch / 64);
  const int64_t band = std::max<int64_t>(kBand / pitch, 1);
  grow(band * pitch + kLanes);

  runs_.start(width, settings.connectivity);
  for (int64_t top = 0; top < height; top += band) {
    const int64_t rows = std::min(band, height - top);
    for (int64_t y = 0; y < rows; ++y) perlin_.row(top + y, &values_[y * pitch]);
    for (int64_t y = 0; y < rows; ++y) add_row(&values_[y * pitch], width, bound(settings.threshold, kInfinity));
  }
  int64_t area = runs_.find_largest();
  if (area > 0 && area >= least && area <= most) return runs_;

  grow(height * pitch + kLanes);
  float peak = -kInfinity;
  for (int64_t y = 0; y < height; ++y) {
    float* row = &values_[y * pitch];
    perlin_.row(y, row);
    peak = std::max(peak, maximum(row, width));
  }
  float level = area > 0 ? settings.threshold : peak - 0.1f * std::abs(peak);
  bool risen = false;
  for (int step = 0;; ++step) {
    runs_.start(width, settings.connectivity);
    for (int64_t y = 0; y < height; ++y) add_row(&values_[y * pitch], width, bound(level, peak));
    area = runs_.find_largest();
    if (step == kPasteSteps) return runs_;
    if (area > most) {
      level += (peak - level) / 4;
      risen = true;
    } else if (area < least && !risen) {
      level -= 0.05f;
    } else {
      return runs_;
    }
  }
}

void NoiseMask::grow(int64_t size) {
  if (static_cast<int64_t>(values_.size()) < size) values_.resize(size);
}

void NoiseMask::add_row(const float* row, int64_t width, float bound) {
  for (int64_t x = 0; x < width; x += 64) {
    uint64_t word = 0;
    for (int i = 0; i < 64; i += kLanes) word |= bits(load<Floats>(row + x + i) >= bound) << i;
    if (width - x < 64) word &= (uint64_t{1} << (width - x)) - 1;
    words_[x / 64] = word;
  }
  runs_.add_row(words_.data());
}

}  // namespace dssm
