// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "array.h"
#include "paste_draw.h"

namespace dssm {

// Why the kernel cannot run on the current device; empty if it can.
std::string paste_unusable();

// Whether an image is small enough for one block of a device.
bool paste_fits(int64_t height, int64_t width, int connectivity, int device);

// PasteNoise, scars and patches in one kernel, a block of `threads` per sample; arguments are those of paste_cpu.
// Launched on a stream of the device; returns at once.
void paste_cuda(const Array& image, const Array& source, const Array& index, const Array& kind, const Array& out,
                const Array& mask, const Array& alpha, const PasteSettings& settings, int threads, int device,
                void* stream);

}  // namespace dssm
