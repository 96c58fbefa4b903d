// SPDX-License-Identifier: Apache-2.0
// The Python module dssm._C_cuda. Launches return at once; nothing of torch is needed to build it or to load it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>

#include "bind_array.h"
#include "paste.h"

namespace py = pybind11;

namespace {

using dssm::Array;
using Pair = std::array<int64_t, 2>;

}  // namespace

PYBIND11_MODULE(_C_cuda, m) {
  const auto kernel = py::call_guard<py::gil_scoped_release>();
  m.attr("architectures") = DSSM_CUDA_ARCHITECTURES;
  m.def("unusable", &dssm::paste_unusable);
  m.def("paste_fits", &dssm::paste_fits);
  m.def(
      "paste",
      [](Array image, Array source, Array index, Array kind, Array out, Array mask, Array alpha, uint64_t seed,
         float threshold, Pair alpha_bounds, Pair resolution, Pair area, int connectivity, int threads, int device,
         uintptr_t stream) {
        dssm::paste_cuda(image, source, index, kind, out, mask, alpha,
                         {seed, threshold, alpha_bounds, resolution, area, connectivity}, threads, device,
                         reinterpret_cast<void*>(stream));
      },
      kernel);
}
