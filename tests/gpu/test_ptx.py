# SPDX-License-Identifier: Apache-2.0
"""Every Triton kernel as it is compiled for sm_80, executed on NumPy beside the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from dssm import backends, ops

pytest.importorskip("triton", reason="triton is not installed")

from .ptx.cases import cases, chosen
from .ptx.device import kernels_of, numpy_device
from .ptx.memory import KernelError

# Agreement with the reference; everything but float64 is computed in float32: (relative, absolute).
TOLERANCE = {
    torch.float64: (1e-12, 1e-12),
    torch.float32: (2e-5, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-2),
    torch.float16: (2e-3, 1e-3),
}
OPS = [op for op in ops.__all__ if not isinstance(backends.load(op, "triton"), str)]


def tolerance(dtype: torch.dtype) -> dict[str, float]:
    return dict(zip(("rtol", "atol"), TOLERANCE.get(dtype, (0, 0)), strict=True))


def pairs(op: str, ours: list[Tensor], theirs: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(cases.specified(op, ours), cases.specified(op, theirs), strict=True)


def close(ours: Tensor, theirs: Tensor) -> bool:
    return torch.allclose(ours, theirs, **tolerance(ours.dtype))


@pytest.mark.parametrize("op", OPS)
def test_compiled_kernels_agree_with_the_reference(op: str) -> None:
    """Results and gradients of every case; and the cases leave out no kernel of the op."""
    executed: set[str] = set()
    for case in chosen(op):
        with numpy_device() as ran:
            actual = case.run("triton")
        executed.update(ran)
        for ours, theirs in pairs(op, actual, case.run("reference")):
            torch.testing.assert_close(ours, theirs, **tolerance(ours.dtype))
    assert kernels_of(op) <= executed


# One instruction changed: the op, a pattern, what takes the place of what it fits, and which of the places.
DAMAGE = [
    ("blend", r"setp\.lt\.s32", "setp.le.s32", 0),  # one pixel too many
    ("blend", r"@%p1 ld\.global", "ld.global", 0),  # a load without its mask
    ("blend", r"fma\.rn\.f32|mul(\.rn)?\.f32", "add.rn.f32", 0),
    ("blend", r"@%p(\d+) st\.global", r"@!%p\1 st.global", 0),
    ("blend", r"\[ %rd(\d+) \+ 0 \]", r"[ %rd\1 + 4 ]", 2),
    ("blend", r"bar\.sync\s+0;", "", 0),  # a sum over warps that does not wait for them
    ("blend", r"add(\.rn)?\.f64", "sub.f64", 0),
    ("blend", r"(mad\.wide\.s32 .*), 4, ", r"\1, 8, ", 0),
    ("blend", r"%ctaid\.x", "%tid.x", 0),
    ("augment", r"brx\.idx\s+(%r\d+)", r"xor.b32 \1, \1, 1; brx.idx \1", 0),  # another operation of RandAugment
    ("component", r"(atom\.global\.gpu\.relaxed)\.min", r"\1.max", 0),
    ("component", r"bar\.sync\s+0;", "", 1),
    ("covariance", r"(mma\.sync[^{]*)\{([^,]*),([^}]*)\}", r"\1{\3,\2}", 0),  # columns change places
    ("hog", r"bar\.sync\s+0;", "", 1),
    ("mahalanobis", r"(cp\.async\.wait_group)\s+0", r"\1 9", 1),  # tiles are used before they have arrived
    ("mahalanobis", r"bar\.sync\s+0;", "", 1),
    ("mscm", r"(ldmatrix\S*)\.trans", r"\1", 0),
    ("paste", r"bar\.sync\s+0;", "", 1),
    ("perlin", r"mul\.hi\.u32", "mul.lo.u32", 0),  # Philox
]


@pytest.mark.parametrize(("op", "pattern", "replacement", "place"), [case for case in DAMAGE if case[0] in OPS])
def test_damaged_kernels_are_caught(op: str, pattern: str, replacement: str, place: int) -> None:
    """The executor complains of one of the op's cases, or its results differ."""
    damaged: list[str] = []

    def damage(text: str) -> str:
        places = list(re.finditer(pattern, text))
        if damaged or place >= len(places):
            return text
        found = places[place]
        damaged.append(found[0])
        return text[: found.start()] + found.expand(replacement) + text[found.end() :]

    for case in chosen(op):
        try:
            with numpy_device(damage):
                actual = case.run("triton")
        except KernelError:
            return
        if damaged:
            assert not all(close(*pair) for pair in pairs(op, actual, case.run("reference")))
            return
    pytest.fail(f"nothing fits {pattern}")
