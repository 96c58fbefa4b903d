# SPDX-License-Identifier: Apache-2.0
"""Every Triton kernel as it is compiled for sm_80, executed on NumPy beside the reference."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch

from dssm import backends, ops

pytest.importorskip("triton", reason="triton is not installed")
if backends.INTERPRETED:
    pytest.skip("the interpreter compiles nothing", allow_module_level=True)

from .ptx.cases import CASES, run
from .ptx.device import kernels_of, numpy_device
from .ptx.memory import KernelError

# Agreement with the reference; everything but float64 is computed in float32: (relative, absolute).
TOLERANCE = {
    torch.float64: (1e-12, 1e-12),
    torch.float32: (2e-5, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-2),
    torch.float16: (2e-3, 1e-3),
}


@pytest.mark.parametrize("op", [op for op in ops.__all__ if not isinstance(backends.load(op, "triton"), str)])
def test_compiled_kernels_agree_with_the_reference(op: str) -> None:
    """Results and gradients of every case; and the cases leave out no kernel of the op."""
    executed: set[str] = set()
    for call in CASES[op]():
        with numpy_device() as ran:
            actual = run(op, call, "triton")
        executed.update(ran)
        for ours, theirs in zip(actual, run(op, call, "reference"), strict=True):
            rtol, atol = TOLERANCE.get(ours.dtype, (0, 0))
            torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)
    assert kernels_of(op) <= executed


def replaced(pattern: str, replacement: str, place: int) -> Callable[[str], str]:
    """An edit of the n-th place that the pattern fits; a text with fewer of them is left alone."""

    def edit(text: str) -> str:
        places = list(re.finditer(pattern, text))
        if place >= len(places):
            return text
        found = places[place]
        return text[: found.start()] + found.expand(replacement) + text[found.end() :]

    return edit


@pytest.mark.parametrize(
    ("pattern", "replacement", "place"),
    [
        (r"setp\.lt\.s32", "setp.le.s32", 0),  # one pixel too many
        (r"@%p1 ld\.global", "ld.global", 0),  # a load without its mask
        (r"fma\.rn\.f32|mul(\.rn)?\.f32", "add.rn.f32", 0),
        (r"sub\.rn\.f32", "add.rn.f32", 0),
        (r"@%p(\d+) st\.global", r"@!%p\1 st.global", 0),
        (r"\[ %rd(\d+) \+ 0 \]", r"[ %rd\1 + 4 ]", 2),
        (r"bar\.sync\s+0;", "", 0),  # a sum over warps that does not wait for them
        (r"(shfl\.sync\.bfly\.b32[^;]*), 16,", r"\1, 8,", 0),
        (r"(mad\.wide\.s32 .*), 4, ", r"\1, 8, ", 0),
        (r"%ctaid\.x", "%tid.x", 0),
    ],
)
def test_damaged_kernels_are_caught(pattern: str, replacement: str, place: int) -> None:
    """One instruction of blend changed: the executor complains, or results differ."""
    call = next(CASES["blend"]())
    damage = replaced(pattern, replacement, place)
    changed: list[bool] = []

    def edit(text: str) -> str:
        changed.append(damage(text) != text)
        return damage(text)

    expected = run("blend", call, "reference")
    try:
        with numpy_device(edit):
            actual = run("blend", call, "triton")
    except KernelError:
        caught = True
    else:
        caught = any(not torch.allclose(a, b, *TOLERANCE[a.dtype]) for a, b in zip(actual, expected, strict=True))
    assert any(changed)
    assert caught
