// SPDX-License-Identifier: Apache-2.0
// A tensor as the kernels see it: an address, an element type, sizes and strides. Nothing of torch is needed for it.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>

#include "device.h"
#include "half.h"

namespace dssm {

// In the order of TYPES in dssm/_native.py.
enum class Type : int { boolean, uint8, int64, float16, bfloat16, float32, float64 };

struct Array {
  static constexpr int kMaxDims = 6;

  void* data = nullptr;  // null for an argument that was not given
  Type type = Type::uint8;
  int dims = 0;
  std::array<int64_t, kMaxDims> size{}, stride{};  // strides in elements

  DSSM_HOST_DEVICE explicit operator bool() const { return data != nullptr; }

  // The elements, as `T`; booleans are bytes 0 or 1.
  template <typename T>
  DSSM_HOST_DEVICE T* as() const {
    return static_cast<T*>(data);
  }

  // The address of the element, or of the row or plane, that the leading coordinates name.
  template <typename T, typename... Coordinates>
  DSSM_HOST_DEVICE T* at(Coordinates... coordinates) const {
    int64_t offset = 0;
    int axis = 0;
    ((offset += coordinates * stride[axis++]), ...);
    return as<T>() + offset;
  }

  int64_t count() const {
    int64_t total = 1;
    for (int i = 0; i < dims; ++i) total *= size[i];
    return total;
  }
};

// The first N sizes, to be taken apart: auto [batch, channels, height, width] = sizes<4>(image).
template <size_t N>
std::array<int64_t, N> sizes(const Array& array) {
  std::array<int64_t, N> result;
  for (size_t i = 0; i < N; ++i) result[i] = array.size[i];
  return result;
}

// A value that stands for its type, so that a generic lambda can take it.
template <typename T>
struct Tag {
  using type = T;
};

template <typename T>
constexpr Type type_of = Type::uint8;
template <>
inline constexpr Type type_of<bool> = Type::boolean;
template <>
inline constexpr Type type_of<int64_t> = Type::int64;
template <>
inline constexpr Type type_of<float16> = Type::float16;
template <>
inline constexpr Type type_of<bfloat16> = Type::bfloat16;
template <>
inline constexpr Type type_of<float> = Type::float32;
template <>
inline constexpr Type type_of<double> = Type::float64;

// Calls f(Tag<T>()) for the T among Ts that `type` names.
template <typename... Ts, typename Function>
void visit(Type type, Function f) {
  const bool found = ((type == type_of<Ts> && (f(Tag<Ts>()), true)) || ...);
  if (!found) throw std::invalid_argument("dssm: a kernel was given an element type that it does not take");
}

}  // namespace dssm
