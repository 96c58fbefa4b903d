# SPDX-License-Identifier: Apache-2.0
"""The guard finds every mistake of small broken kernels, and none in sound ones; and the interpreter beneath it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from dssm.cli.bench import module

from .mutants import guarded
from .mutants.guarded import MUTANTS, PROGRAMS, SOUND, Launch, N

guard, interpreter = module("guard"), module("interpreter")
FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


@pytest.fixture
def watch() -> Iterator[Any]:
    """The guard, in force during the test."""
    with guard.Guard(owner=guarded.__name__).watching() as watch:
        yield watch


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("launch", SOUND, ids=lambda launch: launch.name)
def test_sound_kernels_pass(launch: Launch) -> None:
    launch.run()


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutants_are_caught(mutant: Launch) -> None:
    with pytest.raises(guard.GuardError) as found:
        mutant.run()
    assert found.value.check == mutant.caught


def test_bytes_of_active_lanes_are_counted(watch: Any) -> None:
    SOUND[0].run()
    traffic = watch.traffic["copy"]
    assert (traffic.launches, traffic.programs) == (1, PROGRAMS)
    assert (traffic.loaded, traffic.stored, traffic.atomic) == (4 * N, 4 * N, 0)


def test_memory_that_no_kernel_wrote_is_nan() -> None:
    with guard.Guard(owner=__name__).watching():
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
        _cast[(PROGRAMS,)](values, result, N, BLOCK=guarded.BLOCK)
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
