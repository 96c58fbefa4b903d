// SPDX-License-Identifier: Apache-2.0
// How tensors come from Python; the CPU and the CUDA extension share it.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <tuple>

#include "array.h"

// An Array from what dssm._native.array makes of a tensor, (address, type, sizes, strides), or from None.
template <>
struct pybind11::detail::type_caster<dssm::Array> {
  PYBIND11_TYPE_CASTER(dssm::Array, const_name("array"));

  bool load(handle source, bool) {
    value = {};
    if (source.is_none()) return true;
    if (!PyTuple_Check(source.ptr()) || PyTuple_GET_SIZE(source.ptr()) != 4) return false;
    const auto [address, type, size, stride] = source.cast<std::tuple<uintptr_t, int, tuple, tuple>>();
    if (size.size() > value.size.size() || size.size() != stride.size()) return false;
    // A tensor without elements may have no address, but it was given.
    static char nothing;
    value.data = address ? reinterpret_cast<void*>(address) : &nothing;
    value.type = static_cast<dssm::Type>(type);
    value.dims = static_cast<int>(size.size());
    for (int i = 0; i < value.dims; ++i) {
      value.size[i] = size[i].cast<int64_t>();
      value.stride[i] = stride[i].cast<int64_t>();
    }
    return true;
  }
};
