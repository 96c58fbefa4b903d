// SPDX-License-Identifier: Apache-2.0
// How every kernel is launched.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace dssm {

// Throws what a call to the CUDA runtime complains of.
inline void check(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(std::string("dssm: CUDA says: ") + cudaGetErrorString(status));
}

// Runs a kernel on `blocks` blocks, with `shared` bytes of dynamic shared memory; none where nothing is to do.
template <typename... Parameters>
void launch(void (*kernel)(Parameters...), int64_t blocks, int threads, int64_t shared, int device, void* stream,
            const Parameters&... arguments) {
  constexpr int64_t kUnasked = 48 << 10;  // bytes that every kernel may have
  if (blocks == 0) return;
  check(cudaSetDevice(device));
  if (shared > kUnasked) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)));
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<size_t>(shared);
  config.stream = static_cast<cudaStream_t>(stream);
  check(cudaLaunchKernelEx(&config, kernel, arguments...));
}

}  // namespace dssm
