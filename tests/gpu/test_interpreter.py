# SPDX-License-Identifier: Apache-2.0
"""The Triton kernels pass the tests of their ops in Triton's interpreter, under guard; and the guard passes its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dssm.cli.bench import module

pytest.importorskip("triton")
ROOT = Path(__file__).parents[2]
# What torch makes of an op is the same for every backend, and slow to find out.
SAME = "not registration and not operator_contract and not compiles"


def interpret(*arguments: str) -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("DSSM_BACKEND", None)
    options = ["-p", "no:cacheprovider", "--import-mode=importlib", "--backend=triton", "--guard", "-k", SAME]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, *options],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.parametrize("op", module("cases").kernel_ops())
def test_an_op_passes_its_tests(op: str, pytestconfig: pytest.Config) -> None:
    """Those on arbitrary shapes, strides and dtypes; all of them, a quarter of an hour for all ops, with --thorough."""
    fuzz = f"tests/ops/test_fuzz.py::test_the_kernel_equals_the_reference[{op}-triton]"
    interpret(fuzz, *([f"tests/ops/test_{op}.py"] if pytestconfig.getoption("--thorough") else []))


def test_the_guard_and_its_mutants_pass_theirs() -> None:
    interpret("tests/gpu")
