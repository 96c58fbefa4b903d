# SPDX-License-Identifier: Apache-2.0
"""What every bench shares: the number of threads, the batch, and how a call becomes a row of the table."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from dssm import backends

from .inputs import masks, photographs

# rival: the peer that the ratios of a case refer to. floor: the bytes or the multiply-adds that no code can avoid.
Role = Literal["ours", "reference", "rival", "peer", "floor"]


class Timed(Protocol):
    def __call__(self, case: str, system: str, call: Callable[[], object], role: Role = "peer") -> None: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--threads", type=int, default=1, help="threads of every system, ours and the peers'")
    parser.addoption("--images", type=int, default=32, help="images per call")
    parser.addoption("--rounds", type=int, default=7, help="training steps timed by bench_step")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "default")  # a warning of a peer is no failure of ours
    config.stash[_SKIPPED] = []


_SKIPPED = pytest.StashKey[list[dict[str, str]]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
    report = yield
    if report.skipped:
        _note(item, report.longrepr[2].removeprefix("Skipped: "))
    elif report.failed:
        _note(item, f"FAILED: {call.excinfo.exconly()}".splitlines()[0])
    return report


def _note(item: pytest.Item, reason: str) -> None:
    item.config.stash[_SKIPPED].append({"op": _op(item.path), "system": item.name, "reason": reason})


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    output_json["skipped"] = config.stash[_SKIPPED]


def _op(path: Path) -> str:
    return path.stem.removeprefix("bench_")


@pytest.fixture(scope="session", autouse=True)
def threads(request: pytest.FixtureRequest) -> int:
    """As many cores as threads, so that a peer that starts more threads, or processes, gains nothing by it."""
    count = request.config.getoption("threads")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    torch.set_num_threads(count)
    return count


@pytest.fixture(scope="session")
def batch(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("images")


@pytest.fixture(params=["cpu", "reference"])
def backend(request: pytest.FixtureRequest) -> str:
    """Both of our backends; the op is the one that the file is named after."""
    reason = backends.load(_op(request.path), request.param)
    if isinstance(reason, str):
        pytest.skip(reason)
    return request.param


@pytest.fixture
def timed(benchmark: BenchmarkFixture, batch: int, threads: int, request: pytest.FixtureRequest) -> Timed:
    """Times a call that works on one batch."""

    def run(case: str, system: str, call: Callable[[], object], role: Role = "peer") -> None:
        facts = {"op": _op(request.path), "case": case, "system": system, "role": role}
        benchmark.group = f"{facts['op']} {case}"
        benchmark.extra_info |= {**facts, "images": batch, "threads": threads}
        call()  # compilers and caches
        benchmark(call)

    return run


def role_of(backend: str) -> Role:
    return "ours" if backend == "cpu" else "reference"


def name_of(backend: str) -> str:
    return "dssm" if backend == "cpu" else "dssm reference"


@pytest.fixture(scope="session")
def images(batch: int) -> torch.Tensor:
    """(B, 3, 256, 256) uint8."""
    return torch.from_numpy(photographs(batch, 256, 256))


@pytest.fixture(scope="session")
def sources(batch: int) -> torch.Tensor:
    """(B, 3, 256, 256) uint8, what is pasted."""
    return torch.from_numpy(photographs(batch, 256, 256, seed=1))


@pytest.fixture(scope="session")
def noise_masks(batch: int) -> np.ndarray:
    """(B, 256, 256) bool: thresholded Perlin noise."""
    return masks(batch)
