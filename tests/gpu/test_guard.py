# SPDX-License-Identifier: Apache-2.0
"""Kernels broken on purpose, each in one way: the guard must find every one, and nothing in their sound twins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.cli.bench import module

guard, interpreter = module("guard"), module("interpreter")
N, BLOCK = 1000, 256
FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
PROGRAMS = triton.cdiv(N, BLOCK)


def floats() -> Tensor:
    return torch.rand(N, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def watch() -> Iterator[Any]:
    """The guard, in force during the test."""
    with guard.Guard(owner=__name__).watching() as watch:
        yield watch


def launch(kernel: Any, *arguments: object, programs: int = PROGRAMS) -> None:
    kernel[(programs,)](*arguments, BLOCK=BLOCK)


@triton.jit
def _copy(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i, tl.load(p_in + i, mask=i < n, other=0), mask=i < n)


@triton.jit
def _copy_with_every_lane(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i, tl.load(p_in + i), mask=i < n)


@triton.jit
def _copy_one_more(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i, tl.load(p_in + i, mask=i < n, other=0), mask=i <= n)


@triton.jit
def _copy_with_no_other(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i, tl.load(p_in + i, mask=i < n), mask=i < n)


@triton.jit
def _copy_as_words(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    words = (p_in + 1).to(tl.pointer_type(tl.uint16))
    tl.store(p_out + i, tl.load(words + i, mask=i < n // 2 - 1, other=0), mask=i < n // 2 - 1)


@triton.jit
def _shift(p_x, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(p_x + i + 1, mask=i + 1 < n, other=0)
    tl.debug_barrier()  # which waits for no other program
    tl.store(p_x + i, x, mask=i + 1 < n)


@triton.jit
def _sum(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_add(p_out, tl.sum(tl.load(p_in + i, mask=i < n, other=0)))


@triton.jit
def _sum_without_atomics(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out, tl.load(p_out) + tl.sum(tl.load(p_in + i, mask=i < n, other=0)))


@triton.jit
def _flag(p_out, n, BLOCK: tl.constexpr):
    tl.store(p_out, 1)


@triton.jit
def _ticket(p_counter, p_out, n, BLOCK: tl.constexpr):
    tl.store(p_out + tl.atomic_add(p_counter, 1), tl.program_id(0))


@triton.jit
def _first(p_out, n, BLOCK: tl.constexpr):
    tl.atomic_cas(p_out, 0, tl.program_id(0) + 1)


@triton.jit
def _mirror(p_scratch, p_out, n, BARRIER: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(p_scratch + i, i)
    if BARRIER:
        tl.debug_barrier()
    tl.store(p_out + i, tl.load(p_scratch + BLOCK - 1 - i))


@triton.jit
def _reverse_in_place(p_x, n, BARRIER: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    x = tl.load(p_x + i)
    if BARRIER:
        tl.debug_barrier()
    tl.store(p_x + BLOCK - 1 - i, x)


@triton.jit
def _halve(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i // 2, tl.load(p_in + i, mask=i < n, other=0), mask=i < n)


@triton.jit
def _rows(p_in, p_out, n, s_row, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(p_out + i, tl.load(p_in + i // 10 * s_row + i % 10, mask=i < n, other=0), mask=i < n)


def rows() -> Tensor:
    """100 rows of ten elements, a gap after each."""
    return torch.zeros(100, 12)[:, :10]


SOUND = {
    "copy": lambda: launch(_copy, floats(), torch.empty(N), N),
    "copy in place": lambda: launch(_copy, *[floats()] * 2, N),
    "rows with gaps": lambda: launch(_rows, rows(), torch.empty(N), N, 12),
    "sum of integers": lambda: launch(_sum, torch.arange(N), torch.zeros(1, dtype=torch.int64), N),
    "mirror after a barrier": lambda: launch(_mirror, *ints(2), N, True, programs=1),
    "reverse after a barrier": lambda: launch(_reverse_in_place, *ints(1), N, True, programs=1),
    "lanes that store the same": lambda: launch(_halve, torch.ones(N), torch.empty(N), N, programs=1),
}

BROKEN = {
    "a missing mask": ("bounds", lambda: launch(_copy_with_every_lane, floats(), torch.empty(N), N)),
    "off by one": ("bounds", lambda: launch(_copy_one_more, floats(), torch.empty(N), N)),
    "the stride of another tensor": ("bounds", lambda: launch(_rows, rows(), torch.empty(N), N, 11)),
    "words at odd addresses": ("bounds", lambda: launch(_copy_as_words, *[torch.zeros(N, dtype=torch.uint8)] * 2, N)),
    "a missing other": ("other", lambda: launch(_copy_with_no_other, floats(), torch.empty(N), N)),
    "a sum begun with torch.empty": ("uninitialised", lambda: launch(_sum, floats(), torch.empty(1), N)),
    "a neighbour that moves": ("race", lambda: launch(_shift, floats(), N)),
    "a missing atomic": ("race", lambda: launch(_sum_without_atomics, floats(), torch.zeros(1), N)),
    "a flag that all write": ("race", lambda: launch(_flag, torch.zeros(1, dtype=torch.int32), N)),
    "a sum of floats": ("order", lambda: launch(_sum, floats(), torch.zeros(1), N)),
    "places in order of arrival": ("order", lambda: launch(_ticket, *ints(2), N)),
    "the first to arrive wins": ("order", lambda: launch(_first, torch.zeros(1, dtype=torch.int32), N)),
    "a mirror without a barrier": ("barrier", lambda: launch(_mirror, *ints(2), N, False, programs=1)),
    "a reversal without a barrier": ("barrier", lambda: launch(_reverse_in_place, *ints(1), N, False, programs=1)),
    "two lanes, one address": ("duplicate", lambda: launch(_halve, floats(), torch.empty(N), N, programs=1)),
}


def ints(count: int) -> list[Tensor]:
    return [torch.zeros(N, dtype=torch.int32) for _ in range(count)]


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("case", SOUND)
def test_sound_kernels_pass(case: str) -> None:
    SOUND[case]()


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("case", BROKEN)
def test_broken_kernels_are_found(case: str) -> None:
    check, run = BROKEN[case]
    with pytest.raises(guard.GuardError) as found:
        run()
    assert found.value.check == check


def test_bytes_of_active_lanes_are_counted(watch: Any) -> None:
    launch(_copy, floats(), torch.empty(N), N)
    traffic = watch.traffic["_copy"]
    assert (traffic.launches, traffic.programs) == (1, PROGRAMS)
    assert (traffic.loaded, traffic.stored, traffic.atomic) == (4 * N, 4 * N, 0)


@pytest.mark.usefixtures("watch")
def test_memory_that_no_kernel_wrote_is_nan() -> None:
    assert torch.empty(3).isnan().all()
    assert torch.ones(3, dtype=torch.float16).new_empty(3).isnan().all()


@triton.jit
def _cast(p_in, p_out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(p_in + i, mask=i < n, other=0)
    tl.store(p_out + i, x.to(p_out.dtype.element_ty), mask=i < n)


EDGES = [0.0, -0.0, 1.0, 1.00390625, 1.01171875, 3.3895314e38, 3.4e38, 1e-40, -1e-39, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("target", FLOATS)
@pytest.mark.parametrize("source", FLOATS)
def test_floats_are_cast_as_torch_casts_them(source: torch.dtype, target: torch.dtype) -> None:
    """bfloat16 to the nearest, half to even: 1.00390625 is half-way down to 1, 1.01171875 half-way up to 1.015625."""
    values = torch.cat([torch.tensor(EDGES), torch.randn(N - len(EDGES)) * 100])
    values = values.to(source)
    result = torch.empty(N, dtype=target)
    with interpreter.faithful():
        _cast[(PROGRAMS,)](values, result, N, BLOCK=BLOCK)
    assert torch.equal(result.nan_to_num(7), values.to(target).nan_to_num(7))
    assert torch.equal(result.isnan(), values.isnan())


@triton.jit
def _product(p_a, p_b, p_out, SIDE: tl.constexpr):
    i = tl.arange(0, SIDE)
    place = i[:, None] * SIDE + i[None, :]
    tl.store(p_out + place, tl.dot(tl.load(p_a + place), tl.load(p_b + place)))


def test_products_of_bfloat16_are_those_of_their_values() -> None:
    a, b = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    out = torch.empty(16, 16)
    with interpreter.faithful():
        _product[(1,)](a, b, out, SIDE=16)
    torch.testing.assert_close(out, a.float() @ b.float())
