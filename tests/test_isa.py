# SPDX-License-Identifier: Apache-2.0
"""The kernels at the levels of instructions below the best, and what DSSM_ISA does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dssm import backends
from dssm.errors import BackendError

ROOT = Path(__file__).parents[1]
# What torch makes of an op is the same at every level, and slow to find out.
SAME = "not registration and not operator_contract and not compiles and not openmp"


def other_levels() -> list[str]:
    try:
        from dssm import _native

        return [name for name in _native.levels() if name != _native.level()]
    except (ImportError, BackendError):
        return []


def run(level: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DSSM_ISA": level, "OMP_NUM_THREADS": "1"}
    environment.pop("DSSM_BACKEND", None)
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.parametrize("level", other_levels())
def test_the_ops_pass_their_tests_at_other_levels(level: str) -> None:
    options = ["--backend=cpu", "-k", SAME, "-p", "no:cacheprovider", "--durations=0", "--import-mode=importlib"]
    done = run(level, "-m", "pytest", "tests/ops", *options)
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.skipif(isinstance(backends.load("hog", "cpu"), str), reason="NO KERNELS: the extension is not built")
def test_the_environment_chooses_the_level() -> None:
    done = run("scalar", "-c", "from dssm import cpu; print(cpu.lib.__name__)")
    assert done.stdout.strip() == "dssm._C_scalar"


PROGRAM = """
import torch
from dssm.ops import component
component(torch.ones(1, 4, 4, dtype=torch.bool), backend={!r})
"""


@pytest.mark.skipif(isinstance(backends.load("hog", "cpu"), str), reason="NO KERNELS: the extension is not built")
def test_a_level_that_cannot_run_is_an_error() -> None:
    """Not a reason to take the slow reference without a word."""
    for backend in (None, "cpu"):
        done = run("mmx", "-c", PROGRAM.format(backend))
        last = done.stdout.splitlines()[-1]
        assert last.startswith("dssm.errors.BackendError: DSSM_ISA=mmx cannot run here: choose ")
        assert last.endswith("scalar, or leave it unset")
    assert run("mmx", "-c", PROGRAM.format("reference")).returncode == 0
    done = run("mmx", "-m", "dssm", "info")
    assert done.returncode == 0
    assert "C++ kernels: not loaded (DSSM_ISA=mmx cannot run here" in done.stdout
