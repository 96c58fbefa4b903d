# SPDX-License-Identifier: Apache-2.0
"""Small wrappers, each called soundly and not, for the budget of dry launches; wrappers that wait for the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import triton
import triton.language as tl
from torch import Tensor


@dataclass(frozen=True)
class Twins:
    """A wrapper and the arguments of two calls; `caught` is what the budget finds in the second one."""

    name: str
    wrapper: Callable
    sound: tuple
    broken: tuple
    caught: str

    @property
    def where(self) -> str:
        return f"`{self.wrapper.__name__}`"


@dataclass(frozen=True)
class Wait:
    """A wrapper that takes from its argument what only the device knows."""

    name: str
    wrapper: Callable[[Tensor], Tensor]
    where: ClassVar[str] = "a wrapper"
    caught: ClassVar[str] = "HostSyncError"


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


def copy(x: Tensor, grid: tuple[int, ...] = (8,), step: int = 1, times: int = 1) -> Tensor:
    for _ in range(times):
        out = torch.empty_like(x)
        _copy[grid](x, out, step, BLOCK=1024, enable_fp_fusion=False)
        x = out
    return x


def product(x: Tensor, precision: str = "tf32") -> Tensor:
    out = torch.empty_like(x)
    _product[(1,)](x, x, out, PRECISION=precision, SIDE=64, enable_fp_fusion=False)
    return out


def normalise(x: Tensor, registers: int = 255) -> Tensor:
    out = torch.empty_like(x)
    _normalise[(1,)](x, out, BLOCK=8192, maxnreg=registers, enable_fp_fusion=False)
    return out


FLOATS, SQUARE = torch.zeros(8192), torch.zeros(64, 64)

MUTANTS = (
    Twins("loads that are not vectorised", copy, (FLOATS,), (torch.zeros(16384)[::2], (8,), 2), "loads"),
    Twins("a tensor off its alignment", copy, (FLOATS,), (torch.zeros(8193)[1:],), "loads"),
    Twins("a grid of two axes", copy, (FLOATS,), (FLOATS, (4, 2)), "grid"),
    Twins("a grid that grew", copy, (FLOATS,), (FLOATS, (16,)), "grid"),
    Twins("a launch too many", copy, (FLOATS,), (FLOATS, (8,), 1, 2), "launches"),
    Twins("a product that lost its tensor cores", product, (SQUARE,), (SQUARE, "ieee"), "mma"),
    Twins("registers that spill", normalise, (FLOATS,), (FLOATS, 32), "spills"),
)

WAITS = (
    Wait("a number is taken", lambda x: x.new_empty(int(x.sum().item()))),
    Wait("a branch depends on the values", lambda x: x if x.any() else -x),
    Wait("a size depends on the values", lambda x: x.nonzero()),
    Wait("a mask chooses", lambda x: x[x > 0]),
    Wait("a tensor goes to the host", lambda x: x.cpu() + 1),
    Wait("a tensor comes from the host", lambda x: x * torch.arange(8192).to(x.device)),
    Wait("values become a list", lambda x: torch.empty(x[:2].int().tolist(), device=x.device)),
)
