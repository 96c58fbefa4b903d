// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "array.h"

namespace dssm {

// Distances || whiten (x - mean) || of x (B, C, H, W) to one Gaussian, mean (C) and whiten (K, C), or to one per
// position, mean (H, W, C) and whiten (H, W, K, C). x floating, of any strides; the others in what x is computed in,
// rows of `whiten` contiguous; `out` (B, H, W) contiguous.
void mahalanobis_cpu(const Array& x, const Array& mean, const Array& whiten, const Array& out, int threads);

// The same for one Gaussian per position whose `whiten` (H, W, C, C), float32, are lower triangles that stay: prepared
// as `triangles` (H, W, mahalanobis_triangle(C)), of which only half as much must be read. x is float32 or half of it.
int64_t mahalanobis_triangle(int64_t channels);
void mahalanobis_prepare_cpu(const Array& whiten, const Array& triangles, int threads);
void mahalanobis_prepared_cpu(const Array& x, const Array& mean, const Array& triangles, const Array& out, int threads);

// The gradient with respect to x from that of the distances, `grad` (B, H, W); `out` is like x, contiguous.
void mahalanobis_backward_cpu(const Array& grad, const Array& x, const Array& mean, const Array& whiten,
                              const Array& out, int threads);

}  // namespace dssm
