// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "array.h"

namespace dssm {

// The largest connected component of every mask of a batch (batch, height, width) of any strides; `out` is contiguous.
void component_cpu(const Array& mask, const Array& out, int connectivity, int threads);

}  // namespace dssm
