# SPDX-License-Identifier: Apache-2.0
"""Our CUDA kernel, broken by a few words: on the emulator, what is said of it contains `caught`.

"result" stands for what comes out different from the reference.
"""

from __future__ import annotations

from . import Edit

PASTE = "csrc/cuda/paste.cu"
BLEND, BLOCK = "csrc/cuda/paste_blend.cuh", "csrc/cuda/block.cuh"
COMPONENT, MASK = "csrc/cuda/paste_component.cuh", "csrc/cuda/paste_mask.cuh"
NOISE = "csrc/cuda/paste_noise.cuh"
_SYNC = "__syncthreads();\n"

MUTANTS = (
    Edit(
        "the lattice is used before it is there",
        PASTE,
        "settings.resolution, true);\n  " + _SYNC,
        "settings.resolution, true);\n",
        "race",
    ),
    Edit(
        "gradients are used before they are there",
        PASTE,
        "labels\n    " + _SYNC,
        "labels\n",
        "uninitialised",
    ),
    Edit(
        "the mask is used before it is cut to its component",
        PASTE,
        "keep_largest();\n    " + _SYNC,
        "keep_largest();\n",
        "race",
    ),
    Edit(
        "the rectangle is used before it is there",
        PASTE,
        "settings);\n    " + _SYNC + "    draw",
        "settings);\n    draw",
        "race",
    ),
    Edit(
        "pixels are changed before they are copied",
        PASTE,
        "copy_image(arrays.image, arrays.out, bytes, b);\n  " + _SYNC,
        "copy_image(arrays.image, arrays.out, bytes, b);\n",
        "race: write of argument 4",
    ),
    Edit(
        "too little shared memory is asked for",
        COMPONENT,
        "kAreas * sizeof(uint32_t)) + cells",
        "kAreas) + cells",
        "out of bounds: dynamic shared memory",
    ),
    Edit(
        "maxima are read before all warps wrote theirs",
        BLOCK,
        "slots[warp()] = value;\n  " + _SYNC,
        "slots[warp()] = value;\n",
        "uninitialised",
    ),
    Edit(
        "half of a warp hands its maxima on",
        BLOCK,
        "__shfl_xor_sync(kAllLanes",
        "__shfl_xor_sync(0xFFFF",
        "warp mask",
    ),
    Edit(
        "lanes outside the image stay away from a ballot",
        NOISE,
        "    const uint32_t word",
        "    if (x >= mask.width) continue;\n    const uint32_t word",
        "divergence: lanes never come",
    ),
    Edit(
        "a thread leaves before a barrier",
        COMPONENT,
        "    label_pieces();\n",
        "    label_pieces();\n    if (thread() == 5) return 0;\n",
        "divergence",
    ),
    Edit(
        "threads wait at different barriers",
        COMPONENT,
        "unite_pieces();\n    " + _SYNC,
        "unite_pieces();\n    if (thread() % 2) __syncthreads();\n    if (thread() % 2 == 0) " + _SYNC,
        "divergence: threads wait at the barriers",
    ),
    Edit(
        "pieces are united before they have labels",
        COMPONENT,
        "label_pieces();\n    " + _SYNC,
        "label_pieces();\n",
        "uninitialised",
    ),
    Edit(
        "labels are flattened before all pieces are united",
        COMPONENT,
        "unite_pieces();\n    " + _SYNC,
        "unite_pieces();\n",
        "result",
    ),
    Edit(
        "components are counted without an atomic",
        COMPONENT,
        "atomicAdd(&count, 1)",
        "count++",
        "race",
    ),
    Edit(
        "nobody sets the count to zero",
        COMPONENT,
        "if (thread() == 0) count = 0;",
        "",
        "uninitialised",
    ),
    Edit(
        "areas are added up without an atomic",
        COMPONENT,
        "atomicAdd(areas_ + last, area)",
        "areas_[last] += area",
        "race",
    ),
    Edit(
        "areas are added to before they are zero",
        COMPONENT,
        "areas_[i] = 0; });\n    " + _SYNC,
        "areas_[i] = 0; });\n",
        "race",
    ),
    Edit(
        "areas are read before they are complete",
        COMPONENT,
        "add();\n    " + _SYNC,
        "add();\n",
        "race",
    ),
    Edit(
        "roots are hooked without looking",
        COMPONENT,
        "      if (found == later) return;",
        "      labels_[later] = wanted;\n      return;",
        "result",
    ),
    Edit(
        "a diagonal is forgotten",
        COMPONENT,
        "if ((here & 0b0010) &&",
        "if (false &&",
        "result",
    ),
    Edit(
        "of equal components the last one wins",
        COMPONENT,
        "~static_cast<uint32_t>(",
        "static_cast<uint32_t>(",
        "result",
    ),
    Edit(
        "a copy goes one piece too far",
        BLEND,
        "if (pixel >= count) break;\n        pieces[k] =",
        "if (pixel > count) break;\n        pieces[k] =",
        "out of bounds: read",
    ),
    Edit(
        "a row of words is rounded down",
        MASK,
        "(width + 31) / 32",
        "width / 32",
        "uninitialised",
    ),
)

# What nvcc makes of it is over its budget.
COSTS = (
    Edit(
        "two blocks are to share the registers of a multiprocessor",
        PASTE,
        "__launch_bounds__(kMaxThreads)",
        "__launch_bounds__(kMaxThreads, 2)",
        "spills",
    ),
)
