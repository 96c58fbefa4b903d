# SPDX-License-Identifier: Apache-2.0
"""What a day with a GPU does, as far as it can be seen without one."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dssm.cli.bench import module
from dssm.errors import InputError

day, suite, times = module("gpu_day"), module("gpu_suite"), module("gpu_times")

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@no_gpu
def test_without_a_gpu_it_says_what_it_would_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert day.main(["--out", str(tmp_path / "found.json")]) == 2
    said = capsys.readouterr().out
    for step in ("machine", "tests", "memcheck", "racecheck", "synccheck", "initcheck", "budget", "times"):
        assert f"\n{step} " in f"\n{said}"
    assert "PyTorch sees no GPU here" in said
    assert not (tmp_path / "found.json").exists()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable]:
    """A GPU, and steps that a test makes up."""
    found: dict[str, Callable] = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(day, "STEPS", found)
    return found


def test_findings_are_kept_from_run_to_run(steps: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def missing() -> dict[str, Any]:
        raise InputError("compute-sanitizer is not on the PATH")

    steps |= {"machine": ("what it is", lambda: {"ok": True, "device": "X100"}), "memcheck": ("a tool", missing)}
    out = tmp_path / "found.json"
    assert day.main(["--out", str(out), "--only", "machine"]) == 0
    assert day.main(["--out", str(out), "--only", "memcheck"]) == 1
    data = day.files.read_json(out)
    assert data["machine"]["device"] == "X100"
    assert data["memcheck"] == {"ok": False, "reason": "compute-sanitizer is not on the PATH"}
    assert (tmp_path / "found.txt").read_text().startswith("machine    passed")
    assert "memcheck   FAILED compute-sanitizer is not on the PATH" in capsys.readouterr().out


def test_budget_says_what_is_over_it() -> None:
    def over(*loaded: dict[str, Any]) -> list[str]:
        return list(day.over_budget("hog", loaded, [{"kernel": "_hog_fwd_kernel", "registers": 64}], slack=2))

    sound = {"kernel": "_hog_fwd_kernel", "registers": 66, "spills": 0}
    assert over(sound) == []
    assert over(sound | {"registers": 67}) == ["hog: _hog_fwd_kernel has 67 registers, not 64"]
    assert over(sound | {"spills": 3}) == ["hog: _hog_fwd_kernel spills 3 registers"]
    assert over(sound, sound) == ["hog launches _hog_fwd_kernel, _hog_fwd_kernel, not _hog_fwd_kernel"]


@pytest.fixture
def pytest_stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Stands for the Python that runs the tests: writes down what it is called with, and a report of one failure."""
    stub = tmp_path / "python"
    stub.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        f"calls = open({str(tmp_path / 'calls')!r}, 'a')\n"
        "calls.write(os.environ['DSSM_TEST_DEVICE'] + ' '.join(sys.argv[1:]) + '\\n')\n"
        "report = next(word.partition('=')[2] for word in sys.argv if word.startswith('--junitxml='))\n"
        'open(report, \'w\').write(\'<testsuites><testsuite tests="3" failures="1" errors="0" skipped="1">\'\n'
        '    \'<testcase classname="a" name="b[triton]"><failure message="no&#10;not equal"/></testcase>\'\n'
        '    \'<testcase classname="a" name="c"/></testsuite></testsuites>\')\n'
        "sys.exit(1)\n"
    )
    stub.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stub))
    return tmp_path


def test_the_tests_run_for_every_backend_of_the_gpu(pytest_stub: Path) -> None:
    found = suite.run_tests()
    assert not found["ok"]
    assert found["triton"] == {
        **{"status": 1, "tests": 3, "failures": 1, "errors": 0, "skipped": 1},
        "failed": {"a::b[triton]": ["not equal"]},
    }
    calls = (pytest_stub / "calls").read_text().splitlines()
    assert [backend in call for call, backend in zip(calls, ("--backend triton", "--backend cuda"), strict=True)]
    assert all(call.startswith("cuda-m pytest") and "tests/ops" in call for call in calls)


def test_a_sanitizer_goes_before_the_tests(pytest_stub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sanitizer = pytest_stub / "compute-sanitizer"
    sanitizer.write_text(f"#!/bin/sh\necho $@ >> {pytest_stub}/tools\nshift 6\nexec $@\n")
    sanitizer.chmod(0o755)
    monkeypatch.setenv("PATH", str(pytest_stub), prepend=os.pathsep)
    assert suite.run_tests("racecheck")["cuda"]["failures"] == 1
    assert (pytest_stub / "tools").read_text().startswith("--tool racecheck --target-processes all --error-exitcode 86")
    assert "-k not (fuzz" in (pytest_stub / "calls").read_text()


def test_a_missing_sanitizer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="compute-sanitizer is not on the PATH"):
        suite.run_tests("memcheck")


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_an_op_is_timed_beside_pytorch_and_the_floor() -> None:
    """With a clock that knows the time beforehand, on the CPU."""
    case = module("cases").of("blend", side=8)[0]
    seen: list[list[Tensor]] = []
    compiled: list[Callable] = []

    def clock(call: Callable[[], list[Tensor]]) -> list[float]:
        seen.append(call())
        return [1.0, 2.0, 3.0]

    def graph(_: Callable) -> list[float]:
        raise RuntimeError("the call waits\nfor the device")

    def compile(function: Callable) -> Callable:
        compiled.append(function)
        return function

    rows = times.time_op(case, "cpu", {"call": clock, "graph": graph}, bandwidth=1e9, compile=compile)
    assert [row["system"] for row in rows] == ["eager", "compiled"]
    assert all(row["call"] == [1.0, 2.0, 3.0] for row in rows)
    assert rows[0]["graph"] == "RuntimeError: the call waits"
    assert len(compiled) == 1
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*seen, strict=True))
    image, _, mask, alpha = case.arguments
    pixels, rest = image.numel() * image.element_size(), mask.numel() + 4 * len(alpha)
    forward = (2 + mask.double().mean().item()) * pixels + rest  # of the source what the mask shows
    assert not case.backward
    assert rows[0]["floor"] == pytest.approx(forward / 1e9 * 1e3)
    floating = next(case for case in module("cases").of("blend", side=8) if case.name == "float32 contiguous")
    (row, *_) = times.time_op(floating, "cpu", {}, bandwidth=1e9, compile=compile)
    floats = 2 * (4 * (forward - rest) + rest) + 2 * 4 * pixels + 4 * len(alpha)
    assert row["floor"] == pytest.approx(floats / 1e9 * 1e3)


def test_the_table_compares_what_is_comparable() -> None:
    rows = [
        {"op": "hog", "case": "a", "system": "dssm triton", "call": [1, 2, 3], "graph": [0.5, 1, 2], "floor": 0.5},
        {"op": "hog", "case": "a", "system": "eager", "call": [1, 6, 9], "graph": "it waits", "floor": 0.5},
        {"op": "hog", "case": "b", "system": "eager", "call": [1, 7, 9], "graph": [1, 1, 1], "floor": 0.5},
        {"op": "step", "case": "c", "system": "dssm", "call": [1, 2, 3], "floor": None},
    ]
    assert times.cells(rows)[1:] == [
        ("hog a", "dssm triton", "2", "1", "3", "-", "2"),
        ("hog a", "eager", "6", "-", "1", "-", "-"),
        ("hog b", "eager", "7", "1", "1", "-", "2"),
        ("step c", "dssm", "2", "-", "-", "-", "-"),
    ]


def test_a_training_step_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "SIDE", 32)
    monkeypatch.setattr(times, "BATCH", 2)
    monkeypatch.setattr(times, "STEPS", 2)
    monkeypatch.setattr(times, "WARM", 1)
    rows = times.time_step("quick", "cpu", lambda network: network)
    assert [row["system"] for row in rows] == ["dssm", "eager", "compiled"]
    assert all(0 < row["call"][0] <= row["call"][1] <= row["call"][2] for row in rows)
