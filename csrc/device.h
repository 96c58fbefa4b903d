// SPDX-License-Identifier: Apache-2.0
// Marks functions that CPU and CUDA kernels share.
#pragma once

#if defined(__CUDACC__)
#define DSSM_HOST_DEVICE __host__ __device__
#else
#define DSSM_HOST_DEVICE
#endif
