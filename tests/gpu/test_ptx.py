# SPDX-License-Identifier: Apache-2.0
"""Every Triton kernel as it is compiled for sm_80, executed on NumPy beside the reference."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from dssm import backends, ops

pytest.importorskip("triton", reason="triton is not installed")
if backends.INTERPRETED:
    pytest.skip("the interpreter compiles nothing", allow_module_level=True)

from .ptx.device import kernels_of, numpy_device
from .ptx.memory import KernelError

# Agreement with the reference, of what is computed in float32 but for float64: (relative, absolute).
TOLERANCE = {
    torch.float64: (1e-12, 1e-12),
    torch.float32: (2e-5, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-2),
    torch.float16: (2e-3, 1e-3),
}
Results = list[Tensor]


def values(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Uniform in [-1, 1), of uint8 in [0, 256)."""
    uniform = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (uniform * 256 if dtype == torch.uint8 else uniform * 2 - 1).to(dtype)


def transposed(x: Tensor) -> Tensor:
    """The same values, columns before rows in memory."""
    return x.mT.contiguous().mT


def results(function: Callable, arguments: tuple, backend: str, **options: Any) -> Results:
    """The results of an op, then the gradients of its floating-point arguments where it has them."""
    leaves = [x.detach().requires_grad_() if _is_real(x) else x for x in arguments]
    found = function(*leaves, backend=backend, **options)
    first, *rest = found if isinstance(found, tuple) else (found,)
    wanted = [x for x in leaves if _is_real(x)]
    grads: tuple = ()
    if first.requires_grad:
        grad = values(*first.shape, dtype=first.dtype, seed=9)
        grads = torch.autograd.grad(first, wanted, grad, allow_unused=True)
    return [first.detach(), *rest, *(grad for grad in grads if grad is not None)]


def _is_real(x: object) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()


def blend() -> Iterator[tuple[tuple, dict[str, Any]]]:
    for dtype, change in (
        (torch.float32, torch.Tensor.contiguous),
        (torch.uint8, transposed),
        (torch.bfloat16, torch.Tensor.contiguous),
        (torch.float16, transposed),
        (torch.float64, torch.Tensor.contiguous),
    ):
        image, source = (change(values(2, 3, 17, 67, dtype=dtype, seed=seed)) for seed in (0, 1))
        yield (image, source, values(2, 17, 67, seed=2) > 0, values(2, seed=3).abs()), {}


def component() -> Iterator[tuple[tuple, dict[str, Any]]]:
    for connectivity in (8, 4):
        yield (values(2, 13, 70) > 0,), {"connectivity": connectivity}


def perlin() -> Iterator[tuple[tuple, dict[str, Any]]]:
    for rotate in (True, False):
        yield (torch.tensor([5, 2]), (33, 47)), {"seed": 1, "rotate": rotate}


CASES = {cases.__name__: cases for cases in (blend, component, perlin)}


@pytest.mark.parametrize("op", [op for op in ops.__all__ if not isinstance(backends.load(op, "triton"), str)])
def test_compiled_kernels_agree_with_the_reference(op: str) -> None:
    """Each case's results and gradients; and the cases leave out no kernel of the op."""
    executed: set[str] = set()
    for arguments, options in CASES[op]():
        function = getattr(ops, op)
        with numpy_device() as ran:
            actual = results(function, arguments, "triton", **options)
        expected = results(function, arguments, "reference", **options)
        executed.update(ran)
        assert len(actual) == len(expected)
        for ours, theirs in zip(actual, expected, strict=True):
            rtol, atol = TOLERANCE.get(ours.dtype, (0, 0))
            torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)
    assert kernels_of(op) <= executed


def _damaged(pattern: str, replacement: str, which: int) -> Callable[[str], str]:
    """An edit of the `which`-th place where the pattern fits; it must fit."""

    def edit(ptx: str) -> str:
        places = list(re.finditer(pattern, ptx))
        if which >= len(places):
            return ptx
        start, end = places[which].span()
        return ptx[:start] + re.sub(pattern, replacement, ptx[start:end]) + ptx[end:]

    return edit


@pytest.mark.parametrize(
    ("pattern", "replacement", "which"),
    [
        (r"setp\.lt\.s32", "setp.le.s32", 0),  # one pixel too many
        (r"@%p1 ld\.global", "ld.global", 0),  # a load that is no longer masked
        (r"fma\.rn\.f32|mul\.rn\.f32|mul\.f32", "add.rn.f32", 0),
        (r"sub\.rn\.f32", "add.rn.f32", 0),
        (r"@%p(\d+) st\.global", r"@!%p\1 st.global", 0),
        (r"\[ %rd(\d+) \+ 0 \]", r"[ %rd\1 + 4 ]", 2),
        (r"bar\.sync\s+0;", "", 0),  # the reduction over warps no longer waits
        (r"shfl\.sync\.bfly\.b32(.*?), 16,", r"shfl.sync.bfly.b32\1, 8,", 0),
        (r"mad\.wide\.s32 (.*), 4, ", r"mad.wide.s32 \1, 8, ", 0),
        (r"ctaid\.x", "tid.x", 0),
    ],
)
def test_damaged_kernels_are_caught(pattern: str, replacement: str, which: int) -> None:
    """One instruction of blend changed: the executor complains, or results differ."""
    arguments, options = next(blend())
    expected = results(ops.blend, arguments, "reference", **options)
    edited: list[bool] = []

    def edit(ptx: str) -> str:
        damaged = _damaged(pattern, replacement, which)(ptx)
        edited.append(damaged != ptx)
        return damaged

    try:
        with numpy_device(edit):
            actual = results(ops.blend, arguments, "triton", **options)
    except KernelError:
        caught = True
    else:
        caught = any(not torch.allclose(a, b, 2e-5, 1e-5) for a, b in zip(actual, expected, strict=True))
    assert any(edited)
    assert caught
