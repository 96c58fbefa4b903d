# SPDX-License-Identifier: Apache-2.0
"""Every Triton kernel, as its wrapper launches it, through the compiler of every target; nothing is run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dssm.cli.bench import module

triton = pytest.importorskip("triton")
ROOT = Path(__file__).parents[2]
COMMAND = "from dssm.cli.bench import module; module('compiled').main()"
# Launches of a forward pass; the kernels are fused so far that an image goes through the GPU's memory once.
# The attention of mscm waits for the mean of its whole map; without attention, "plain", one launch is all.
LAUNCHES = {"augment": 5, "blend": 1, "hog": 1, "mahalanobis": 1, "mscm": 3, "paste": 3, "perlin": 1}
PRODUCTS = ("mahalanobis", "mscm")

budget, cases, compiled = module("budget"), module("cases"), module("compiled")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames and not metafunc.definition.get_closest_marker("parametrize"):
        metafunc.parametrize("target", compiled.TARGETS)


@pytest.fixture(scope="module")
def reports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future]]:
    """A process per target, two at a time: all cases, or of every day's run the usual ones.

    Where there is no budget to compare with, every day's run compiles each kernel once.
    """
    folder = tmp_path_factory.mktemp("compiled")
    everything = request.config.getoption("--thorough")

    def compile_for(target: str) -> list[dict[str, Any]]:
        out = folder / f"{target}.json"
        fewer = [] if everything else ["--usual"] if target in budget.TARGETS else ["--usual", "--once"]
        command = [sys.executable, "-c", COMMAND, target, "--out", str(out), *fewer]
        done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout[-5000:]
        return json.loads(out.read_text())

    with ThreadPoolExecutor(2) as pool:
        yield {target: pool.submit(compile_for, target) for target in compiled.TARGETS}


@pytest.fixture
def report(reports: dict[str, Future], target: str) -> list[dict[str, Any]]:
    """A row per launch; see `dssm.bench.compiled.report`."""
    return reports[target].result()


def test_every_op_with_kernels_has_cases() -> None:
    assert set(cases.kernel_ops()) <= set(cases.CASES)


def test_every_kernel_compiles(report: list[dict[str, Any]]) -> None:
    sources = "".join(path.read_text() for path in (ROOT / "kernels").glob("*.py"))
    assert set(re.findall(r"def (_\w+_kernel)\(", sources)) == {row["kernel"] for row in report}


def test_grids_have_one_axis(report: list[dict[str, Any]]) -> None:
    """The others take 65,535 programs."""
    for row in report:
        assert len(row["grid"]) == 1, row
        assert 0 < row["grid"][0] < 2**31, row


def test_launches_are_few(report: list[dict[str, Any]]) -> None:
    forward = Counter((row["op"], row["case"]) for row in report if not row["backward"])
    for (op, case), count in forward.items():
        assert count <= (1 if case.endswith(" plain") else LAUNCHES.get(op, 4)), f"{count} launches of {op} {case}"


@pytest.mark.parametrize("target", budget.TARGETS)
def test_nothing_is_spilled(report: list[dict[str, Any]]) -> None:
    assert [row for row in report if row["spills"]] == []


@pytest.mark.parametrize("target", budget.TARGETS)
def test_products_use_tensor_cores(report: list[dict[str, Any]]) -> None:
    """In every case of these ops, some kernel of the forward pass."""
    products = budget.by_case([row for row in report if row["op"] in PRODUCTS and not row["backward"]])
    assert [case for case, rows in products.items() if not any(row["mma"] for row in rows)] == []


@pytest.mark.parametrize("target", budget.TARGETS)
def test_the_budget_is_kept(report: list[dict[str, Any]], target: str) -> None:
    committed = budget.read()
    if committed["triton"] != triton.__version__:
        pytest.skip(f"the budget is that of Triton {committed['triton']}, this is {triton.__version__}")
    actual, expected = budget.by_case(report), budget.by_case(committed["rows"], target)
    assert actual.keys() <= expected.keys(), "the cases changed; run: python -m dssm.bench.budget"
    excess = {case: budget.excess(expected[case], rows) for case, rows in actual.items()}
    assert {case: found for case, found in excess.items() if found} == {}
