// SPDX-License-Identifier: Apache-2.0
// Every row of the image is read and resized along once; the rows that a new one is made of are kept.
#include "hog_resize.h"

#include <cmath>

namespace dssm {

template <typename Real>
Taps<Real>::Taps(int64_t from, int64_t to) : begin(to), count(to) {
  const double scale = static_cast<double>(from) / to, reach = std::max(scale, 1.0);
  most = padded<Real>(static_cast<int64_t>(std::ceil(reach)) * 2 + 1);
  weights.resize(to * most);
  present.resize(to * most);
  for (int64_t i = 0; i < to; ++i) {
    const double centre = scale * (i + 0.5);
    begin[i] = std::max<int64_t>(static_cast<int64_t>(centre - reach + 0.5), 0);
    count[i] = std::min<int64_t>(static_cast<int64_t>(centre + reach + 0.5), from) - begin[i];
    double total = 0;
    const auto hat = [&](int64_t k) { return std::max(1 - std::abs(begin[i] + k + 0.5 - centre) / reach, 0.0); };
    for (int64_t k = 0; k < count[i]; ++k) total += hat(k);
    for (int64_t k = 0; k < count[i]; ++k) {
      weights[i * most + k] = static_cast<Real>(hat(k) / total);
      present[i * most + k] = -1;
    }
  }
}

// `from` and `to` are whole vectors long, `from` with the taps of the last place.
template <typename Real>
void Resize<Real>::shrink_row(const Real* from, Real* to) const {
  using V = Vector<Real>;
  using I = Masks<V>;
  for (int64_t x = 0; x < width_; x += lanes<V>) {
    V parts[lanes<V>];
    for (V& zero : parts) zero = V{};  // `= {}` would call memset
    for (int64_t i = 0; i < std::min<int64_t>(lanes<V>, width_ - x); ++i) {
      const Real* pixels = from + along_.begin[x + i];
      for (int64_t k = 0; k < along_.most; k += lanes<V>) {
        const int64_t tap = (x + i) * along_.most + k;
        const V counted = (V)(load<I>(&along_.present[tap]) & (I)load<V>(pixels + k));
        parts[i] = fma(counted, load<V>(&along_.weights[tap]), parts[i]);
      }
    }
    store(to + x, sums(parts));
  }
}

template <typename Real>
Image<Real> Resize<Real>::operator()(const Image<Real>& image, std::vector<Real>& pixels) const {
  using V = Vector<Real>;
  const int64_t channels = image.channels, long_pitch = padded<Real>(image.width) + along_.most;
  const int64_t pitch = padded<Real>(width_), plane = height_ * pitch, depth = down_.most;
  std::vector<Real> row(channels * long_pitch), rows(depth * channels * pitch);
  pixels.resize(channels * plane);
  const auto kept = [&](int64_t y, int64_t c) { return &rows[(y % depth * channels + c) * pitch]; };

  int64_t loaded = 0;
  for (int64_t y = 0; y < height_; ++y) {
    const int64_t begin = down_.begin[y], end = begin + down_.count[y];
    for (; loaded < end; ++loaded) {
      image.read(image, loaded, {0, image.width}, row.data(), long_pitch);
      for (int64_t c = 0; c < channels; ++c) shrink_row(&row[c * long_pitch], kept(loaded, c));
    }
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t x = 0; x < pitch; x += lanes<V>) {
        V total{};
        for (int64_t i = begin; i < end; ++i) {
          total = fma(load<V>(kept(i, c) + x), splat<V>(down_.weights[y * depth + i - begin]), total);
        }
        store(&pixels[c * plane + y * pitch + x], total);
      }
    }
  }
  return {pixels.data(), channels, height_, width_, plane, pitch, 1, read_row<Real, Real>};
}

template struct Taps<float>;
template struct Taps<double>;
template class Resize<float>;
template class Resize<double>;

}  // namespace dssm
