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

// The unsigned angle in [0, pi] with OpenCV's arc tangent, 1.7e-4 off at most.
template <typename V>
V unsigned_angle(V dy, V dx) {
  using Real = Lane<V>;
  constexpr Real kPi = Real(3.14159265358979323846);
  const V ax = dx < 0 ? -dx : dx, ay = dy < 0 ? -dy : dy;
  const V longest = max(ax, ay), ratio = min(ax, ay) / (longest == 0 ? splat<V>(1) : longest), power = ratio * ratio;
  V polynomial = splat<V>(Real(-0.04432655554792128));
  polynomial = fma(polynomial, power, splat<V>(Real(0.1555786518463281)));
  polynomial = fma(polynomial, power, splat<V>(Real(-0.3258083974640975)));
  polynomial = fma(polynomial, power, splat<V>(Real(0.9997878412794807)));
  const V acute = ratio * polynomial, steep = ay > ax ? kPi / 2 - acute : acute;
  return dy * dx < 0 ? kPi - steep : steep;
}

template <typename Real>
SharedVote<Real> share(const Steps<Real>& steps, int64_t orientations) {
  using V = Vector<Real>;
  using I = Masks<V>;
  constexpr Real kPi = Real(3.14159265358979323846);
  const V magnitude = sqrt(steps.square);
  const V position = unsigned_angle(steps.dy, steps.dx) * (orientations / kPi) - Real(0.5);
  const V known = position > Real(-0.5) ? position : splat<V>(Real(-0.5));  // a NaN has no bin, but a vote
  const I floor = convert<Lane<I>>(known + 1) - 1;
  const V to_upper = orientations > 1 ? magnitude * (position - convert<Real>(floor)) : V{};
  return {floor < 0 ? splat<I>(orientations - 1) : floor, magnitude - to_upper, to_upper};
}

}  // namespace dssm
