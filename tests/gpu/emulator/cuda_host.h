// SPDX-License-Identifier: Apache-2.0
// As much of the CUDA runtime as the launches of the kernels use: one device, whose work is done when a call returns.
#pragma once

#include <cstddef>

#include "block.h"
#include "shadow.h"

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorLaunchFailure = 719,
};

enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum cudaDeviceAttr { cudaDevAttrMaxSharedMemoryPerBlockOptin };

using cudaStream_t = struct CUstream_st*;

struct dim3 {
  unsigned x, y, z;

  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
};

struct cudaFuncAttributes {
  int numRegs;
};

inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    default:
      return "unspecified launch failure";
  }
}

inline cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidValue; }

inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = static_cast<int>(emulator::kMostShared);
  return cudaSuccess;
}

template <typename Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, Kernel*) {
  return cudaSuccess;
}

namespace emulator {

inline size_t permitted_shared = 48 << 10;  // until a kernel asks for more

}  // namespace emulator

template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel*, cudaFuncAttribute, int bytes) {
  if (bytes < 0 || static_cast<size_t>(bytes) > emulator::kMostShared) return cudaErrorInvalidValue;
  emulator::permitted_shared = bytes;
  return cudaSuccess;
}

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               const Arguments&... arguments) {
  const dim3 &grid = config->gridDim, &block = config->blockDim;
  if (size_t{block.x} * block.y * block.z - 1 >= 1024 || grid.x == 0 || grid.x > 0x7FFFFFFF || grid.y - 1 >= 65535 ||
      grid.z - 1 >= 65535) {
    return cudaErrorInvalidConfiguration;
  }
  if (config->dynamicSmemBytes > emulator::permitted_shared) return cudaErrorInvalidValue;
  emulator::permitted_shared = 48 << 10;
  // What these two read is the host's, so it is not checked.
  auto call = [&]() __attribute__((no_sanitize("thread"))) { kernel(arguments...); };
  const auto start = [](void* pointer)
                         __attribute__((no_sanitize("thread"))) { (*static_cast<decltype(call)*>(pointer))(); };
  const bool ended =
      emulator::run_grid({grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, config->dynamicSmemBytes, start, &call);
  return ended ? cudaSuccess : cudaErrorLaunchFailure;
}
