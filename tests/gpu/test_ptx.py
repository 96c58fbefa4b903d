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

from .mutants.ptx import MUTANTS, Damage
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


@pytest.mark.parametrize(
    "mutant", [mutant for mutant in MUTANTS if mutant.op in OPS], ids=lambda mutant: f"{mutant.op}: {mutant.name}"
)
def test_mutants_are_caught(mutant: Damage) -> None:
    assert mutant.caught in complaint(mutant)


def complaint(mutant: Damage) -> str:
    """What the executor says of the first of the op's cases that has the damage, "result" if the reference differs."""
    damaged: list[str] = []

    def damage(text: str) -> str:
        places = list(re.finditer(mutant.pattern, text))
        if damaged or mutant.place >= len(places):
            return text
        found = places[mutant.place]
        damaged.append(found[0])
        return text[: found.start()] + found.expand(mutant.replacement) + text[found.end() :]

    for case in chosen(mutant.op):
        try:
            with numpy_device(damage):
                actual = case.run("triton")
        except KernelError as error:
            return str(error)
        if damaged:
            agree = all(close(*pair) for pair in pairs(mutant.op, actual, case.run("reference")))
            return "nothing" if agree else "result"
    pytest.fail(f"nothing fits {mutant.pattern}")
