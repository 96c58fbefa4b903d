// SPDX-License-Identifier: Apache-2.0
// Every row of the image is read and resized along once; the rows that a new one is made of are kept.
#include "hog_resize.h"

#include <cmath>

#include "hog_usual.h"
#include "simd_matrix.h"

namespace dssm {

template <typename Real>
Taps<Real>::Taps(int64_t from, int64_t to) : begin(padded<Real>(to)), count(to) {
  const double scale = static_cast<double>(from) / to, reach = std::max(scale, 1.0);
  const auto centre = [=](int64_t i) { return scale * (i + 0.5); };
  for (int64_t i = 0; i < to; ++i) {
    begin[i] = std::max<int64_t>(static_cast<int64_t>(centre(i) - reach + 0.5), 0);
    count[i] = std::min<int64_t>(static_cast<int64_t>(centre(i) + reach + 0.5), from) - begin[i];
  }
  most = padded<Real>(*std::max_element(count.begin(), count.end()));
  weights.resize(begin.size() * most);
  present.resize(begin.size() * most);
  for (int64_t i = 0; i < to; ++i) {
    const auto hat = [&](int64_t k) { return std::max(1 - std::abs(begin[i] + k + 0.5 - centre(i)) / reach, 0.0); };
    double total = 0;
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
  usually<lanes<V>>(along_.most, [&](auto most) {
    for (int64_t x = 0; x < width_; x += lanes<V>) {
      V parts[lanes<V>];
      for (int64_t i = 0; i < lanes<V>; ++i) {
        parts[i] = V{};
        for (int64_t k = 0; k < most; k += lanes<V>) {
          const int64_t tap = (x + i) * most + k;
          const I pixels = (I)load<V>(from + along_.begin[x + i] + k);
          parts[i] = fma((V)(pixels & load<I>(&along_.present[tap])), load<V>(&along_.weights[tap]), parts[i]);
        }
      }
      store(to + x, sums(parts));
    }
  });
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
