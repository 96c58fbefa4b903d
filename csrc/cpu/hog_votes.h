// SPDX-License-Identifier: Apache-2.0
// OpenCV's vote of a pixel: its magnitude, shared by the two bins whose centres enclose its angle.
#pragma once

#include "hog_gradient.h"

namespace dssm {

template <typename Real>
struct SharedVote {
  Masks<Vector<Real>> lower;  // bin; the next one, or 0 after the last, is the upper
  Vector<Real> to_lower, to_upper;
};

// OpenCV's arc tangent on [0, 1], 1.7e-4 radians off at most: ratio * (A0 + A1 ratio^2 + A2 ratio^4 + A3 ratio^6).
constexpr double kArctan[] = {0.9997878412794807, -0.3258083974640975, 0.1555786518463281, -0.04432655554792128};

// A0 + A1 power + A2 power^2 + A3 power^3.
template <typename V>
V polynomial(V power, const Lane<V> (&a)[4]) {
  return fma(fma(fma(splat<V>(a[3]), power, splat<V>(a[2])), power, splat<V>(a[1])), power, splat<V>(a[0]));
}

template <typename V>
V magnitude_of(V value) {
  using I = Masks<V>;
  return (V)((I)value & std::numeric_limits<Lane<I>>::max());
}

// The unsigned angle in [0, pi].
template <typename V>
V unsigned_angle(V dy, V dx) {
  using Real = Lane<V>;
  constexpr Real kPi = Real(3.14159265358979323846);
  constexpr Real kFactors[] = {Real(kArctan[0]), Real(kArctan[1]), Real(kArctan[2]), Real(kArctan[3])};
  const V ax = magnitude_of(dx), ay = magnitude_of(dy);
  const V longest = max(ax, ay), ratio = min(ax, ay) / (longest == 0 ? splat<V>(1) : longest);
  const V acute = ratio * polynomial(ratio * ratio, kFactors), steep = ay > ax ? kPi / 2 - acute : acute;
  return dy * dx < 0 ? kPi - steep : steep;
}

template <typename Real>
class Share {
 public:
  using V = Vector<Real>;
  using I = Masks<V>;

  explicit Share(int64_t orientations)
      : bins_per_radian(static_cast<Real>(orientations / 3.14159265358979323846)),
        last(orientations - 1),
        several_(last > 0 ? splat<I>(-1) : I{}) {}

  SharedVote<Real> operator()(const Steps<Real>& steps) const {
    const V magnitude = sqrt(steps.square);
    const V position = unsigned_angle(steps.dy, steps.dx) * bins_per_radian - Real(0.5);
    const V known = position > Real(-0.5) ? position : splat<V>(Real(-0.5));  // a NaN has no bin, but a vote
    const I floor = convert<Lane<I>>(known + 1) - 1;
    const V to_upper = (V)((I)(magnitude * (position - convert<Real>(floor))) & several_);
    return {floor < 0 ? splat<I>(last) : floor, magnitude - to_upper, to_upper};
  }

  const Real bins_per_radian;
  const Lane<I> last;

 private:
  const I several_;  // a single bin gets everything
};

// Turns steps into the gradient with respect to them, `lower` and `upper` being what the two votes are worth.
template <typename Real>
void share_backward(Steps<Real>& steps, Vector<Real> lower, Vector<Real> upper, Vector<Real> to_upper,
                    Real bins_per_radian) {
  using V = Vector<Real>;
  // Of the arc tangent's polynomial, the derivative.
  constexpr Real kFactors[] = {Real(kArctan[0]), Real(3 * kArctan[1]), Real(5 * kArctan[2]), Real(7 * kArctan[3])};
  const V dy = steps.dy, dx = steps.dx, ax = magnitude_of(dx), ay = magnitude_of(dy);
  const V magnitude = sqrt(steps.square), longest = max(ax, ay), safe = longest == 0 ? splat<V>(1) : longest;
  const V ratio = min(ax, ay) / safe;
  // The votes are magnitude * (1 - part) and magnitude * part.
  const V part = magnitude == 0 ? V{} : to_upper / magnitude;
  const V pull = magnitude == 0 ? V{} : (lower + (upper - lower) * part) / magnitude;
  V by_ratio = magnitude * (upper - lower) * bins_per_radian * polynomial(ratio * ratio, kFactors) / safe;
  by_ratio = (ay > ax) == (dy * dx < 0) ? by_ratio : -by_ratio;
  // ratio is the shorter step over the longer; of equal ones neither changes it.
  const V by_shorter = ax == ay ? V{} : by_ratio, by_longer = ax == ay ? V{} : -by_ratio * ratio;
  const V by_ay = ay > ax ? by_longer : by_shorter, by_ax = ay > ax ? by_shorter : by_longer;
  steps.dy = dy * pull + (dy > 0 ? by_ay : dy < 0 ? -by_ay : V{});
  steps.dx = dx * pull + (dx > 0 ? by_ax : dx < 0 ? -by_ax : V{});
}

}  // namespace dssm
