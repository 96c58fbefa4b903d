// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace dssm {

// Why no kernel of this build can run here; empty if one can.
std::string unusable();

// Bytes of shared memory that a block may have on a device.
int64_t shared_limit(int device);

}  // namespace dssm
