# SPDX-License-Identifier: Apache-2.0
"""Our own kernels, each broken by changing a few words of its source: some check of the interpreter must notice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from dssm.cli.bench import module

from .installed import planted
from .mutants import Edit
from .mutants.kernels import MUTANTS

guard, interpreter, cases = module("guard"), module("interpreter"), module("cases")
SIDE = 48  # several programs per image
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 3e-2, torch.float16: 4e-3}
PLANTED = [pytest.param(case, mutant, id=mutant.name) for case, mutants in MUTANTS.items() for mutant in mutants]


def case_of(op: str, name: str) -> cases.Case:
    return next(case for case in cases.of(op, SIDE) if case.name == name)


def run(case: cases.Case) -> str:
    """The check that a case fails, or "" if it passes."""
    try:
        with interpreter.faithful(), guard.Guard().watching():
            actual = case.run("triton")
    except guard.GuardError as error:
        return error.check
    return "" if agree(case.op, actual, case.run("reference")) else "result"


def agree(op: str, actual: list[Tensor], expected: list[Tensor]) -> bool:
    """But for one element in a thousand: noise may lie on a threshold."""
    pairs = zip(cases.specified(op, actual), cases.specified(op, expected), strict=True)
    return all(close(*pair).double().mean() >= 0.999 for pair in pairs)


def close(actual: Tensor, expected: Tensor) -> Tensor:
    tolerance = TOLERANCE.get(expected.dtype, 0)
    actual, expected = actual.double(), expected.double()
    scale = float(expected.nan_to_num(0, 0, 0).abs().max()) if expected.numel() else 0.0
    return torch.isclose(actual, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


@pytest.mark.parametrize("op", cases.kernel_ops())
def test_every_op_has_mutants(op: str) -> None:
    assert op in {op for op, _ in MUTANTS}


@pytest.mark.parametrize("case", MUTANTS, ids=" ".join)
def test_unbroken_kernels_pass(case: tuple[str, str]) -> None:
    assert run(case_of(*case)) == ""


@pytest.mark.parametrize(("case", "mutant"), PLANTED)
def test_mutants_are_caught(case: tuple[str, str], mutant: Edit, tmp_path: Path) -> None:
    with planted(mutant, tmp_path):
        assert run(case_of(*case)) == mutant.caught
