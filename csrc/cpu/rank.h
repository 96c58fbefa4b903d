// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "array.h"

namespace dssm {

// For every score (N), how many of `among` (M) are above it and how many equal it. Both floating, of one type, any
// stride; where `where` (M), booleans, is given, only those of `among` count that it marks. `above` and `tied`, int64
// (N), are contiguous.
void rank_cpu(const Array& scores, const Array& among, const Array& where, const Array& above, const Array& tied);

}  // namespace dssm
