# SPDX-License-Identifier: Apache-2.0
"""The cases whose kernels are executed: as few and as small as take all of them through their masks and loops."""

from __future__ import annotations

from typing import Any

from dssm.cli.bench import module

cases = module("cases")
BATCH = 3
# At 33 and 41 nothing is a multiple of anything; at 48 loads are as wide as they get, and tiles are full but the last.
CHOSEN = {
    "augment": [(48, "contiguous")],
    "blend": [
        (33, "float32 contiguous"),
        (48, "uint8 transposed"),
        (48, "bfloat16 contiguous"),
        (41, "float64 contiguous"),
    ],
    "component": [(41, "40x83 8"), (48, "48x48 4")],
    "covariance": [(48, "float32 shared"), (41, "bfloat16 per position")],
    "hog": [
        (41, "uint8 contiguous skimage"),
        (48, "float32 channels_last skimage"),
        (48, "float32 contiguous opencv"),
        (41, "uint8 target skimage"),
    ],
    "mahalanobis": [(48, "float32 contiguous shared"), (41, "float16 contiguous per position")],
    "mscm": [(41, "float32 contiguous"), (32, "bfloat16 contiguous plain")],
    "paste": [(41, "uint8 contiguous kinds"), (48, "float32 contiguous kinds")],
    "perlin": [(41, "40x44 rotated"), (48, "48x48")],
    "region": [(41, "40x83")],
}


def chosen(op: str) -> list[Any]:
    """The cases of an op."""
    return [next(case for case in cases.of(op, side, BATCH) if case.name == name) for side, name in CHOSEN[op]]
