// SPDX-License-Identifier: Apache-2.0
// dssm._C: addresses, sizes, strides and a thread count in; nothing of torch is needed to build it or to load it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <string>
#include <vector>

#include "cpu/component.h"

namespace py = pybind11;

namespace {

template <typename T>
T* at(uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

// The instruction sets that matter here and that this processor has.
std::vector<std::string> features() {
  std::vector<std::string> found;
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) found.push_back("avx2");
  if (__builtin_cpu_supports("fma")) found.push_back("fma");
  if (__builtin_cpu_supports("avx512f")) found.push_back("avx512f");
  if (__builtin_cpu_supports("avx512bf16")) found.push_back("avx512bf16");
#elif defined(__aarch64__)
  found.push_back("neon");
#endif
  return found;
}

// The OpenMP version the kernels were compiled for; 0 means that they run on one thread.
int openmp() {
#ifdef _OPENMP
  return _OPENMP;
#else
  return 0;
#endif
}

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.def("features", &features);
  m.def("openmp", &openmp);
  m.def(
      "component",
      [](uintptr_t mask, uintptr_t out, std::array<int64_t, 3> size, std::array<int64_t, 3> stride, int connectivity,
         int threads) {
        dssm::component_cpu(at<const uint8_t>(mask), at<uint8_t>(out), size[0], size[1], size[2], stride.data(),
                            connectivity, threads);
      },
      py::call_guard<py::gil_scoped_release>());
}
