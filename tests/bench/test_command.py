# SPDX-License-Identifier: Apache-2.0
"""`dssm bench`, and every bench once on a small batch."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dssm.cli import cli
from dssm.cli.bench import module
from dssm.errors import InputError
from dssm.settings import preset

ROOT = Path(__file__).parents[2]


def test_every_op_has_a_bench() -> None:
    from dssm import ops

    counted = {"rank", "region", "histogram"}  # timed by bench_pixel_metrics
    assert set(ops.__all__) - counted <= set(module("runner").OPS)


def test_every_bench_runs() -> None:
    """Peers that are missing are skipped; torch.compile and the training step take too long here."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "bench",
        "--benchmark-disable",
        "--images",
        "2",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run([*command, "-k", "not compile and not step"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_our_training_step_divides_into_parts(tmp_path: Path) -> None:
    out = tmp_path / "step.json"
    command = [sys.executable, "-m", "pytest", "bench/bench_step.py", "--images", "2", "--rounds", "1"]
    command += ["-k", "dssm and paper", "--benchmark-json", str(out), "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    (bench,) = json.loads(out.read_text())["benchmarks"]
    parts = bench["extra_info"]["parts"]
    assert sum(parts.values()) == pytest.approx(1)
    assert min(parts[name] for name in ("forward", "backward", "optimiser", "paste", "targets")) > 0


@pytest.mark.parametrize("name", ["paper", "quick"])
def test_the_stock_loop_trains(name: str) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("scipy")
    settings = preset(name).replace(size=(64, 64), batch=4, patches=("noise",))
    images, textures = module("inputs").surfaces(4, 64, 64), module("inputs").surfaces(3, 64, 64)
    steps = module("stock").steps(images, textures, settings, 0)
    assert all(math.isfinite(next(steps)) for _ in range(3))


def test_bench_times_writes_and_shows(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ["--only", "component", "--threads", "1", "--quick", "--cpu-time", "--out", str(out)]
    result = CliRunner().invoke(cli, ["bench", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    data = json.loads(out.read_text())
    assert {"dssm", "memcpy"} <= {row["system"] for row in data["results"]}
    again = CliRunner().invoke(cli, ["bench", "--report", str(out)], catch_exceptions=False)
    assert "memcpy" in again.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "fft"], "--only must be one of augment"),
        (["--only", "hog", "--threads", "4096"], "--threads must be at most"),
        (
            ["--only", "hog", "--cpu-time", "--threads", "2"],
            "--cpu-time counts one thread only|--threads must be at most",
        ),
        (["--report", "no-such-file.json"], "cannot read no-such-file.json"),
    ],
)
def test_bad_options_are_one_sentence(options: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(cli, ["bench", *options], catch_exceptions=False)


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = module("runner")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r'pip install "dssm-surface\[bench\]"'):
        runner.measure(["hog"], [1], quick=True, cpu_time=False)
