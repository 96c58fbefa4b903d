# SPDX-License-Identifier: Apache-2.0
"""Kernels and wrappers broken on purpose, each beside its sound twin: what is looked at in a dry launch must tell."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dssm.cli.bench import module

triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")
budget, compiled = module("budget"), module("compiled")


@triton.jit
def _copy(p_in, p_out, step, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i, tl.load(p_in + i * step))


@triton.jit
def _product(p_a, p_b, p_out, PRECISION: tl.constexpr, SIDE: tl.constexpr):
    i = tl.arange(0, SIDE)
    place = i[:, None] * SIDE + i[None, :]
    product = tl.dot(tl.load(p_a + place), tl.load(p_b + place), input_precision=PRECISION)
    tl.store(p_out + place, product)


@triton.jit
def _normalise(p_in, p_out, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    x = tl.load(p_in + i)
    tl.store(p_out + i, x / tl.sum(x))  # all of x is kept until then


def copy(x: Tensor, grid: tuple[int, ...] = (8,), step: int = 1) -> Tensor:
    out = torch.empty_like(x)
    _copy[grid](x, out, step, BLOCK=1024, enable_fp_fusion=False)
    return out


def twice(x: Tensor) -> Tensor:
    return copy(copy(x))


def product(x: Tensor, precision: str = "tf32") -> Tensor:
    out = torch.empty_like(x)
    _product[(1,)](x, x, out, PRECISION=precision, SIDE=64, enable_fp_fusion=False)
    return out


def normalise(x: Tensor, registers: int = 255) -> Tensor:
    out = torch.empty_like(x)
    _normalise[(1,)](x, out, BLOCK=8192, maxnreg=registers, enable_fp_fusion=False)
    return out


def launches(wrapper: Any, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
    with compiled.dry("sm_80") as found:
        compiled.faked(lambda *arguments: wrapper(*arguments, **options))(*arguments)
    return [launch.report() for launch in found]


def excess(sound: list[dict[str, Any]], broken: list[dict[str, Any]]) -> set[str]:
    """The words of what the broken one does worse."""
    assert budget.excess(sound, sound) == []
    return {found.partition(":")[0] for found in budget.excess(sound, broken)}


FLOATS = torch.zeros(8192)


def test_loads_that_are_not_vectorised() -> None:
    assert "loads" in excess(launches(copy, FLOATS), launches(copy, torch.zeros(16384)[::2], step=2))


def test_a_tensor_off_its_alignment() -> None:
    assert "loads" in excess(launches(copy, FLOATS), launches(copy, torch.zeros(8193)[1:]))


def test_a_grid_of_two_axes() -> None:
    assert excess(launches(copy, FLOATS), launches(copy, FLOATS, grid=(4, 2))) == {"grid"}


def test_a_grid_that_grew() -> None:
    assert excess(launches(copy, FLOATS), launches(copy, FLOATS, grid=(16,))) == {"grid"}


def test_a_launch_too_many() -> None:
    assert excess(launches(copy, FLOATS), launches(twice, FLOATS)) == {"launches"}


def test_a_product_that_lost_its_tensor_cores() -> None:
    square = torch.zeros(64, 64)
    assert "mma" in excess(launches(product, square), launches(product, square, precision="ieee"))


def test_registers_that_spill() -> None:
    assert "spills" in excess(launches(normalise, FLOATS), launches(normalise, FLOATS, registers=32))


WAITS = {
    "item": lambda x: x.new_empty(int(x.sum().item())),
    "branch": lambda x: x if x.any() else -x,
    "nonzero": lambda x: x.nonzero(),
    "boolean index": lambda x: x[x > 0],
    "to the host": lambda x: x.cpu() + 1,
    "from the host": lambda x: x * torch.arange(8192).to(x.device),
    "tolist": lambda x: torch.empty(x[:2].int().tolist(), device=x.device),
}


@pytest.mark.parametrize("case", WAITS)
def test_a_wrapper_that_waits_for_the_device(case: str) -> None:
    with pytest.raises(compiled.HostSyncError):
        launches(WAITS[case], FLOATS)


def test_results_have_the_strides_of_the_wrapper() -> None:
    x = torch.zeros(4, 8).T
    with compiled.dry("sm_80"):
        assert compiled.faked(torch.empty_like)(x).stride() == x.stride()
