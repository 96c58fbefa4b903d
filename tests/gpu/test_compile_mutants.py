# SPDX-License-Identifier: Apache-2.0
"""What is looked at in a dry launch must tell broken kernels and wrappers from their sound twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dssm.cli.bench import module

pytest.importorskip("triton")
from .mutants.launches import FLOATS, MUTANTS, WAITS, Twins, Wait

budget, compiled = module("budget"), module("compiled")


def launches(wrapper: Callable, *arguments: Any) -> list[dict[str, Any]]:
    with compiled.dry("sm_80") as found:
        compiled.faked(wrapper)(*arguments)
    return [launch.report() for launch in found]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutants_are_caught(mutant: Twins) -> None:
    sound, broken = (launches(mutant.wrapper, *arguments) for arguments in (mutant.sound, mutant.broken))
    assert budget.excess(sound, sound) == []
    assert mutant.caught in {found.partition(":")[0] for found in budget.excess(sound, broken)}


@pytest.mark.parametrize("mutant", WAITS, ids=lambda mutant: mutant.name)
def test_mutants_that_wait_for_the_device_are_caught(mutant: Wait) -> None:
    with pytest.raises(getattr(compiled, mutant.caught)):
        launches(mutant.wrapper, FLOATS)


def test_results_have_the_strides_of_the_wrapper() -> None:
    x = torch.zeros(4, 8).T
    with compiled.dry("sm_80"):
        assert compiled.faked(torch.empty_like)(x).stride() == x.stride()
