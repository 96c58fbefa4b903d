# SPDX-License-Identifier: Apache-2.0
"""Small kernels, sound ones and broken ones, for the guard of Triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

N, BLOCK = 1000, 256
PROGRAMS = triton.cdiv(N, BLOCK)


@dataclass(frozen=True)
class Launch:
    """A kernel and what it is launched with; `caught` is the guard's check, empty where there is nothing to find."""

    name: str
    kernel: Any
    arguments: Callable[[], tuple]
    caught: str = ""
    programs: int = PROGRAMS

    @property
    def where(self) -> str:
        return f"`{self.kernel.fn.__name__}`"

    def run(self) -> None:
        self.kernel[(self.programs,)](*self.arguments(), BLOCK=BLOCK)


@triton.jit
def copy(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i, tl.load(p_in + i, mask=i < n, other=0), mask=i < n)


@triton.jit
def copy_with_every_lane(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i, tl.load(p_in + i), mask=i < n)


@triton.jit
def copy_one_more(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i, tl.load(p_in + i, mask=i < n, other=0), mask=i <= n)


@triton.jit
def copy_with_no_other(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i, tl.load(p_in + i, mask=i < n), mask=i < n)


@triton.jit
def copy_as_words(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    words = (p_in + 1).to(tl.pointer_type(tl.uint16))
    tl.store(p_out + i, tl.load(words + i, mask=i < n // 2 - 1, other=0), mask=i < n // 2 - 1)


@triton.jit
def shift(p_x, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(p_x + i + 1, mask=i + 1 < n, other=0)
    tl.debug_barrier()  # which waits for no other program
    tl.store(p_x + i, x, mask=i + 1 < n)


@triton.jit
def add_up(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_add(p_out, tl.sum(tl.load(p_in + i, mask=i < n, other=0)))


@triton.jit
def add_up_without_atomics(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out, tl.load(p_out) + tl.sum(tl.load(p_in + i, mask=i < n, other=0)))


@triton.jit
def flag(p_out, n, BLOCK: tl.constexpr):
    tl.store(p_out, 1)


@triton.jit
def ticket(p_counter, p_out, n, BLOCK: tl.constexpr):
    tl.store(p_out + tl.atomic_add(p_counter, 1), tl.program_id(0))


@triton.jit
def first(p_out, n, BLOCK: tl.constexpr):
    tl.atomic_cas(p_out, 0, tl.program_id(0) + 1)


@triton.jit
def mirror(p_scratch, p_out, n, BARRIER: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(p_scratch + i, i)
    if BARRIER:
        tl.debug_barrier()
    tl.store(p_out + i, tl.load(p_scratch + BLOCK - 1 - i))


@triton.jit
def reverse_in_place(p_x, n, BARRIER: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    x = tl.load(p_x + i)
    if BARRIER:
        tl.debug_barrier()
    tl.store(p_x + BLOCK - 1 - i, x)


@triton.jit
def halve(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i // 2, tl.load(p_in + i, mask=i < n, other=0), mask=i < n)


@triton.jit
def copy_rows(p_in, p_out, n, s_row, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i, tl.load(p_in + i // 10 * s_row + i % 10, mask=i < n, other=0), mask=i < n)


def floats() -> Tensor:
    return torch.rand(N, generator=torch.Generator().manual_seed(0))


def ints(count: int) -> list[Tensor]:
    return [torch.zeros(N, dtype=torch.int32) for _ in range(count)]


def rows() -> Tensor:
    """100 rows of ten elements, a gap after each."""
    return torch.zeros(100, 12)[:, :10]


def small_bytes() -> Tensor:
    return torch.zeros(N, dtype=torch.uint8)


SOUND = (
    Launch("a copy", copy, lambda: (floats(), torch.empty(N), N)),
    Launch("a copy in place", copy, lambda: (*[floats()] * 2, N)),
    Launch("rows with gaps", copy_rows, lambda: (rows(), torch.empty(N), N, 12)),
    Launch("a sum of integers", add_up, lambda: (torch.arange(N), torch.zeros(1, dtype=torch.int64), N)),
    Launch("a mirror after a barrier", mirror, lambda: (*ints(2), N, True), programs=1),
    Launch("a reversal after a barrier", reverse_in_place, lambda: (*ints(1), N, True), programs=1),
    Launch("lanes that store the same", halve, lambda: (torch.ones(N), torch.empty(N), N), programs=1),
)

MUTANTS = (
    Launch("a missing mask", copy_with_every_lane, lambda: (floats(), torch.empty(N), N), "bounds"),
    Launch("off by one", copy_one_more, lambda: (floats(), torch.empty(N), N), "bounds"),
    Launch("the stride of another tensor", copy_rows, lambda: (rows(), torch.empty(N), N, 11), "bounds"),
    Launch("words at odd addresses", copy_as_words, lambda: (*[small_bytes()] * 2, N), "bounds"),
    Launch("a missing other", copy_with_no_other, lambda: (floats(), torch.empty(N), N), "other"),
    Launch("a sum begun with torch.empty", add_up, lambda: (floats(), torch.empty(1), N), "uninitialised"),
    Launch("a neighbour that moves", shift, lambda: (floats(), N), "race"),
    Launch("a missing atomic", add_up_without_atomics, lambda: (floats(), torch.zeros(1), N), "race"),
    Launch("a flag that all write", flag, lambda: (torch.zeros(1, dtype=torch.int32), N), "race"),
    Launch("a sum of floats", add_up, lambda: (floats(), torch.zeros(1), N), "order"),
    Launch("places in order of arrival", ticket, lambda: (*ints(2), N), "order"),
    Launch("the first to arrive wins", first, lambda: (torch.zeros(1, dtype=torch.int32), N), "order"),
    Launch("a mirror without a barrier", mirror, lambda: (*ints(2), N, False), "barrier", programs=1),
    Launch("a reversal without a barrier", reverse_in_place, lambda: (*ints(1), N, False), "barrier", programs=1),
    Launch("two lanes, one address", halve, lambda: (floats(), torch.empty(N), N), "duplicate", programs=1),
)
