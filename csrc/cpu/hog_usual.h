// SPDX-License-Identifier: Apache-2.0
// Numbers that are nearly always the same, given to the compiler as constants: loops over them unroll.
#pragma once

#include <cstdint>
#include <type_traits>

namespace dssm {

// Calls f(number), as a constant when it is the usual one.
template <int64_t Usual, typename Function>
auto usually(int64_t number, Function f) {
  return number == Usual ? f(std::integral_constant<int64_t, Usual>()) : f(number);
}

}  // namespace dssm
