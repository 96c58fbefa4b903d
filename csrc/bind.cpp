// SPDX-License-Identifier: Apache-2.0
// The Python module of one level of instructions, dssm._C_<level>: every kernel takes arrays, settings and a number of
// threads, and releases the GIL. Nothing of torch is needed to build it or to load it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <string>
#include <vector>

#include "bind_array.h"
#include "cpu/augment.h"
#include "cpu/batchnorm.h"
#include "cpu/blend.h"
#include "cpu/component.h"
#include "cpu/convolution.h"
#include "cpu/covariance.h"
#include "cpu/histogram.h"
#include "cpu/hog.h"
#include "cpu/mahalanobis.h"
#include "cpu/mscm.h"
#include "cpu/paste.h"
#include "cpu/perlin.h"
#include "cpu/rank.h"
#include "cpu/region.h"

namespace py = pybind11;

namespace {

using dssm::Array;
using Pair = std::array<int64_t, 2>;

// The instruction sets that matter here and that this processor has.
std::vector<std::string> features() {
  std::vector<std::string> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
#define DSSM_FEATURE(name) \
  if (__builtin_cpu_supports(name)) found.push_back(name)
  DSSM_FEATURE("avx2");
  DSSM_FEATURE("fma");
  DSSM_FEATURE("bmi2");
  DSSM_FEATURE("avx512f");
  DSSM_FEATURE("avx512bw");
  DSSM_FEATURE("avx512dq");
  DSSM_FEATURE("avx512vl");
  DSSM_FEATURE("avx512bf16");
#undef DSSM_FEATURE
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

dssm::HogSettings hog_settings(int64_t orientations, Pair cell, Pair block, int norm, bool sqrt, int mode) {
  return {orientations, cell, block, static_cast<dssm::Norm>(norm), sqrt, static_cast<dssm::HogMode>(mode)};
}

}  // namespace

PYBIND11_MODULE(DSSM_MODULE, m) {
  const auto kernel = py::call_guard<py::gil_scoped_release>();
  m.def("features", &features);
  m.def("openmp", &openmp);
  m.def("augment", &dssm::augment_cpu, kernel);
  m.def("augment_operation", &dssm::augment_operation_cpu, kernel);
  m.def("batchnorm_panel", &dssm::batchnorm_panel);
  m.def("batchnorm", &dssm::batchnorm_cpu, kernel);
  m.def("batchnorm_backward", &dssm::batchnorm_backward_cpu, kernel);
  m.def("blend", &dssm::blend_cpu, kernel);
  m.def("blend_backward", &dssm::blend_backward_cpu, kernel);
  m.def("component", &dssm::component_cpu, kernel);
  m.def("convolution_panel", &dssm::convolution_panel);
  m.def("convolution", &dssm::convolution_cpu, kernel);
  m.def("convolution_prepare", &dssm::convolution_prepare_cpu, kernel);
  m.def("convolution_fused", &dssm::convolution_fused_cpu, kernel);
  m.def("convolution_depthwise", &dssm::convolution_depthwise_cpu, kernel);
  m.def("convolution_pointwise", &dssm::convolution_pointwise_cpu, kernel);
  m.def("convolution_backward_x", &dssm::convolution_backward_x_cpu, kernel);
  m.def("convolution_backward_weight", &dssm::convolution_backward_weight_cpu, kernel);
  m.def("covariance", &dssm::covariance_cpu, kernel);
  m.def("histogram", &dssm::histogram_cpu, kernel);
  m.def("mahalanobis", &dssm::mahalanobis_cpu, kernel);
  m.def("mahalanobis_triangle", &dssm::mahalanobis_triangle);
  m.def("mahalanobis_prepare", &dssm::mahalanobis_prepare_cpu, kernel);
  m.def("mahalanobis_prepared", &dssm::mahalanobis_prepared_cpu, kernel);
  m.def("mahalanobis_backward", &dssm::mahalanobis_backward_cpu, kernel);
  m.def("perlin", &dssm::perlin_cpu, kernel);
  m.def("rank", &dssm::rank_cpu, kernel);
  m.def("region", &dssm::region_cpu, kernel);
  m.def(
      "hog",
      [](Array image, Array out, int64_t orientations, Pair cell, Pair block, int norm, bool sqrt, int mode, Pair size,
         int threads) {
        dssm::hog_cpu(image, out, hog_settings(orientations, cell, block, norm, sqrt, mode), size, threads);
      },
      kernel);
  m.def(
      "hog_backward",
      [](Array grad, Array image, Array out, int64_t orientations, Pair cell, Pair block, int norm, bool sqrt, int mode,
         int threads) {
        dssm::hog_backward_cpu(grad, image, out, hog_settings(orientations, cell, block, norm, sqrt, mode), threads);
      },
      kernel);
  m.def("mscm_width", &dssm::mscm_width);
  m.def(
      "mscm",
      [](Array x, Array weight, Array bias, std::array<Array, 4> attention, int64_t dilation, int activation, Array out,
         Array squeezed, int threads) {
        dssm::mscm_cpu(x, weight, bias, {attention[0], attention[1], attention[2], attention[3]}, dilation,
                       static_cast<dssm::Activation>(activation), out, squeezed, threads);
      },
      kernel);
  m.def(
      "mscm_backward",
      [](Array grad, Array out, Array squeezed, Array x, Array weight, std::array<Array, 4> attention, int64_t dilation,
         int activation, std::array<Array, 7> grads, int threads) {
        const auto [grad_x, grad_weight, grad_bias, squeeze_weight, squeeze_bias, excite_weight, excite_bias] = grads;
        dssm::mscm_backward_cpu(
            grad, out, squeezed, x, weight, {attention[0], attention[1], attention[2], attention[3]}, dilation,
            static_cast<dssm::Activation>(activation),
            {grad_x, grad_weight, grad_bias, squeeze_weight, squeeze_bias, excite_weight, excite_bias}, threads);
      },
      kernel);
  m.def(
      "paste",
      [](Array image, Array source, Array index, Array kind, Array out, Array mask, Array alpha, uint64_t seed,
         float threshold, Pair alpha_bounds, Pair resolution, Pair area, int connectivity, int threads) {
        dssm::paste_cpu(image, source, index, kind, out, mask, alpha,
                        {seed, threshold, alpha_bounds, resolution, area, connectivity}, threads);
      },
      kernel);
  m.def(
      "paste_backward",
      [](Array grad, Array index, Array kind, Array grad_image, Array grad_source, uint64_t seed, float threshold,
         Pair alpha_bounds, Pair resolution, Pair area, int connectivity, int threads) {
        dssm::paste_backward_cpu(grad, index, kind, grad_image, grad_source,
                                 {seed, threshold, alpha_bounds, resolution, area, connectivity}, threads);
      },
      kernel);
}
