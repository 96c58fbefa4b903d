# SPDX-License-Identifier: Apache-2.0
"""Mistakes planted in the CUDA kernels, and which check must find each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """Every `old` becomes `new` in csrc/cuda/<file>; what is said of it begins with `caught`."""

    name: str
    file: str
    old: str
    new: str
    caught: str


_SYNC = "__syncthreads();\n"

MUTANTS = (
    Mutant(
        "the lattice is used before it is there",
        "paste.cu",
        "settings.resolution, true);\n  " + _SYNC,
        "settings.resolution, true);\n",
        "race",
    ),
    Mutant(
        "gradients are used before they are there",
        "paste.cu",
        "labels\n    " + _SYNC,
        "labels\n",
        "uninitialised",
    ),
    Mutant(
        "the mask is used before it is cut to its component",
        "paste.cu",
        "keep_largest();\n    " + _SYNC,
        "keep_largest();\n",
        "race",
    ),
    Mutant(
        "the rectangle is used before it is there",
        "paste.cu",
        "settings);\n    " + _SYNC + "    draw",
        "settings);\n    draw",
        "race",
    ),
    Mutant(
        "pixels are changed before they are copied",
        "paste.cu",
        "copy_image(arrays.image, arrays.out, bytes, b);\n  " + _SYNC,
        "copy_image(arrays.image, arrays.out, bytes, b);\n",
        "race: write of argument 4",
    ),
    Mutant(
        "too little shared memory is asked for",
        "paste_component.cuh",
        "kAreas * sizeof(uint32_t)) + cells",
        "kAreas) + cells",
        "out of bounds: dynamic shared memory",
    ),
    Mutant(
        "maxima are read before all warps wrote theirs",
        "block.cuh",
        "slots[warp()] = value;\n  " + _SYNC,
        "slots[warp()] = value;\n",
        "uninitialised",
    ),
    Mutant(
        "half of a warp hands its maxima on",
        "block.cuh",
        "__shfl_xor_sync(kAllLanes",
        "__shfl_xor_sync(0xFFFF",
        "warp mask",
    ),
    Mutant(
        "lanes outside the image stay away from a ballot",
        "paste_noise.cuh",
        "    const uint32_t word",
        "    if (x >= mask.width) continue;\n    const uint32_t word",
        "divergence: lanes never come",
    ),
    Mutant(
        "a thread leaves before a barrier",
        "paste_component.cuh",
        "    label_pieces();\n",
        "    label_pieces();\n    if (thread() == 5) return 0;\n",
        "divergence",
    ),
    Mutant(
        "threads wait at different barriers",
        "paste_component.cuh",
        "unite_pieces();\n    " + _SYNC,
        "unite_pieces();\n    if (thread() % 2) __syncthreads();\n    if (thread() % 2 == 0) " + _SYNC,
        "divergence: threads wait at the barriers",
    ),
    Mutant(
        "pieces are united before they have labels",
        "paste_component.cuh",
        "label_pieces();\n    " + _SYNC,
        "label_pieces();\n",
        "uninitialised",
    ),
    Mutant(
        "labels are flattened before all pieces are united",
        "paste_component.cuh",
        "unite_pieces();\n    " + _SYNC,
        "unite_pieces();\n",
        "result",
    ),
    Mutant(
        "components are counted without an atomic",
        "paste_component.cuh",
        "atomicAdd(&count, 1)",
        "count++",
        "race",
    ),
    Mutant(
        "nobody sets the count to zero",
        "paste_component.cuh",
        "if (thread() == 0) count = 0;",
        "",
        "uninitialised",
    ),
    Mutant(
        "areas are added up without an atomic",
        "paste_component.cuh",
        "atomicAdd(areas_ + last, area)",
        "areas_[last] += area",
        "race",
    ),
    Mutant(
        "areas are added to before they are zero",
        "paste_component.cuh",
        "areas_[i] = 0; });\n    " + _SYNC,
        "areas_[i] = 0; });\n",
        "race",
    ),
    Mutant(
        "areas are read before they are complete",
        "paste_component.cuh",
        "add();\n    " + _SYNC,
        "add();\n",
        "race",
    ),
    Mutant(
        "roots are hooked without looking",
        "paste_component.cuh",
        "      if (found == later) return;",
        "      labels_[later] = wanted;\n      return;",
        "result",
    ),
    Mutant(
        "a diagonal is forgotten",
        "paste_component.cuh",
        "if ((here & 0b0010) &&",
        "if (false &&",
        "result",
    ),
    Mutant(
        "of equal components the last one wins",
        "paste_component.cuh",
        "~static_cast<uint32_t>(",
        "static_cast<uint32_t>(",
        "result",
    ),
    Mutant(
        "a copy goes one piece too far",
        "paste_blend.cuh",
        "if (pixel >= count) break;\n        pieces[k] =",
        "if (pixel > count) break;\n        pieces[k] =",
        "out of bounds: read",
    ),
    Mutant(
        "a row of words is rounded down",
        "paste_mask.cuh",
        "(width + 31) / 32",
        "width / 32",
        "",
    ),
)
