// SPDX-License-Identifier: Apache-2.0
// dssm._C: addresses, sizes, strides and a thread count in; nothing of torch is needed to build it or to load it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <string>
#include <vector>

#include "cpu/augment.h"
#include "cpu/blend.h"
#include "cpu/component.h"
#include "cpu/hog.h"
#include "cpu/paste.h"
#include "cpu/perlin.h"

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

template <typename Pixel, typename Real>
void bind_hog(py::module_& m, const char* name) {
  m.def(
      name,
      [](uintptr_t image, uintptr_t out, std::array<int64_t, 4> size, std::array<int64_t, 4> stride,
         int64_t orientations, std::array<int64_t, 2> cell, std::array<int64_t, 2> block, dssm::Norm norm, bool sqrt,
         dssm::HogMode mode, int threads) {
        dssm::hog_cpu(at<const Pixel>(image), at<Real>(out), size, stride,
                      {orientations, cell, block, norm, sqrt, mode}, threads);
      },
      py::call_guard<py::gil_scoped_release>());
}

template <typename Pixel>
void bind_blend(py::module_& m, const char* name) {
  m.def(
      name,
      [](uintptr_t image, uintptr_t source, uintptr_t mask, uintptr_t alpha, uintptr_t out, std::array<int64_t, 4> size,
         std::array<int64_t, 4> image_stride, std::array<int64_t, 4> source_stride, std::array<int64_t, 3> mask_stride,
         int threads) {
        dssm::blend_cpu(at<const Pixel>(image), at<const Pixel>(source), at<const uint8_t>(mask),
                        at<const double>(alpha), at<Pixel>(out), size, image_stride, source_stride, mask_stride,
                        threads);
      },
      py::call_guard<py::gil_scoped_release>());
}

template <typename Pixel>
void bind_paste(py::module_& m, const char* name) {
  m.def(
      name,
      [](uintptr_t image, uintptr_t source, uintptr_t index, uintptr_t kind, uintptr_t out, uintptr_t mask,
         uintptr_t alpha, std::array<int64_t, 4> size, uint64_t seed, float threshold,
         std::array<int64_t, 2> alpha_bounds, std::array<int64_t, 2> resolution, std::array<int64_t, 2> area,
         int connectivity, int threads) {
        dssm::paste_cpu(at<const Pixel>(image), at<const Pixel>(source), at<const int64_t>(index),
                        at<const int64_t>(kind), at<Pixel>(out), at<uint8_t>(mask), at<float>(alpha), size,
                        {seed, threshold, alpha_bounds, resolution, area, connectivity}, threads);
      },
      py::call_guard<py::gil_scoped_release>());
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

  py::enum_<dssm::Norm>(m, "Norm")
      .value("L1", dssm::Norm::l1)
      .value("L1-sqrt", dssm::Norm::l1_sqrt)
      .value("L2", dssm::Norm::l2)
      .value("L2-Hys", dssm::Norm::l2_hys);
  py::enum_<dssm::HogMode>(m, "HogMode")
      .value("skimage", dssm::HogMode::skimage)
      .value("opencv", dssm::HogMode::opencv);
  bind_hog<uint8_t, float>(m, "hog_uint8_float32");
  bind_hog<uint8_t, double>(m, "hog_uint8_float64");
  bind_hog<float, float>(m, "hog_float32_float32");
  bind_hog<double, double>(m, "hog_float64_float64");

  m.def(
      "perlin",
      [](uintptr_t index, int64_t stride, uintptr_t out, int64_t batch, std::array<int64_t, 2> size, uint64_t seed,
         std::array<int64_t, 2> resolution, bool rotate, int threads) {
        dssm::perlin_cpu(at<const int64_t>(index), stride, at<float>(out), batch, size, seed, resolution, rotate,
                         threads);
      },
      py::call_guard<py::gil_scoped_release>());
  m.def(
      "augment",
      [](uintptr_t image, uintptr_t index, int64_t stride, std::array<int64_t, 4> size, uint64_t seed, int64_t count,
         int threads) {
        dssm::augment_cpu(at<uint8_t>(image), at<const int64_t>(index), stride, size, seed, count, threads);
      },
      py::call_guard<py::gil_scoped_release>());
  bind_blend<uint8_t>(m, "blend_uint8");
  bind_blend<float>(m, "blend_float32");
  bind_blend<double>(m, "blend_float64");
  bind_paste<uint8_t>(m, "paste_uint8");
  bind_paste<float>(m, "paste_float32");
  bind_paste<double>(m, "paste_float64");
}
