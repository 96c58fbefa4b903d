# SPDX-License-Identifier: Apache-2.0
"""Runs the bench files, a process per number of threads, and gathers what they measured."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from dssm import _native
from dssm.errors import InputError

FOLDER = Path(__file__).parent
OPS = tuple(sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py")))
DISTRIBUTIONS = (
    *("dssm-surface", "torch", "numpy", "scipy", "scikit-image", "scikit-learn", "opencv-python-headless", "pillow"),
    *("connected-components-3d", "kornia-rs", "pyfastnoisesimd", "pyfastnoiselite"),
)
# Every library that brings threads of its own.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


def measure(ops: Sequence[str], threads: Sequence[int], *, quick: bool, cpu_time: bool) -> dict[str, Any]:
    """Machine, versions and one row per op, case, system and number of threads; see `report` for what is made of it.

    A bench that cannot run or fails is listed under `skipped` with the reason. Raises InputError where pytest or
    pytest-benchmark is missing or a number of threads is impossible.
    """
    for module in ("pytest", "pytest_benchmark"):
        if importlib.util.find_spec(module) is None:
            raise InputError(f'{module} is missing; run: pip install "dssm-surface[bench]"')
    if max(threads) > cores():
        raise InputError(f"--threads must be at most {cores()}, the cores there are, not {max(threads)}")
    if cpu_time and max(threads) > 1:
        raise InputError("--cpu-time counts one thread only; add --threads 1")
    outputs = {count: _run(ops, count, quick, cpu_time) for count in threads}
    # Other work on the machine lengthens the median even of CPU time, by emptying the caches.
    statistic = "q1" if cpu_time else "median"
    rows = [_row(bench, statistic) for output in outputs.values() for bench in output["benchmarks"]]
    skipped = [{"threads": count, **skip} for count, output in outputs.items() for skip in output["skipped"]]
    return {
        "date": date.today().isoformat(),
        "machine": _machine(next(iter(outputs.values()))["machine_info"]),
        "versions": {"python": platform.python_version(), **_versions()},
        "settings": {"quick": quick, "cpu_time": cpu_time},
        "results": sorted(_with_ratios(rows), key=lambda row: (row["threads"], OPS.index(row["op"]))),
        "skipped": skipped,
    }


def update(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The new results, and the old ones of what was not timed again if machine, versions and settings are the same.

    A row's ratios never mix runs: all systems of an op, at one number of threads, come from one run.
    """
    if any(old.get(key) != new[key] for key in ("machine", "versions", "settings")):
        return new
    again = {(row["op"], row["threads"]) for row in (*new["results"], *new["skipped"])}
    kept = {
        name: [row for row in old[name] if (row["op"], row["threads"]) not in again] for name in ("results", "skipped")
    }
    merged = {name: sorted(kept[name] + new[name], key=lambda row: (row["threads"], row["op"])) for name in kept}
    return {**new, **merged}


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(ops: Sequence[str], threads: int, quick: bool, cpu_time: bool) -> dict[str, Any]:
    """pytest-benchmark's JSON."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "benchmark.json")
        command = [
            *(sys.executable, "-m", "pytest", *(str(FOLDER / f"bench_{op}.py") for op in ops)),
            *("-c", os.devnull, "--rootdir", str(FOLDER), "--import-mode=importlib"),
            *("-q", "-rs", "--tb=short", "--show-capture=no"),
            *("-p", "no:cacheprovider", "-o", "python_files=bench_*.py", "-o", "python_functions=bench_*"),
            *("--benchmark-json", str(out), "--benchmark-quiet", "--benchmark-disable-gc"),
            *("--benchmark-timer", "time.thread_time" if cpu_time else "time.perf_counter"),
            *("--benchmark-max-time", "0.2" if quick else "1", "--benchmark-min-rounds", "3" if quick else "7"),
            *("--threads", str(threads), "--rounds", "3" if quick else "7"),
        ]
        subprocess.run(command, env={**os.environ, **_environment(threads)})
        if not out.exists():
            raise InputError("no bench could be run; pytest's messages are above")
        return json.loads(out.read_text())


def _environment(threads: int) -> dict[str, str]:
    variables = dict.fromkeys(THREADS, str(threads))
    if FOLDER.parent.name != "dssm":  # a checkout that need not be installed
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, (str(FOLDER.parent), os.environ.get("PYTHONPATH"))))
    return variables


def _row(bench: dict[str, Any], statistic: str) -> dict[str, Any]:
    """`seconds` per call is what everything else is computed from."""
    facts, stats = bench["extra_info"], bench["stats"]
    times = {key: stats[key] for key in ("median", "iqr", "min", "rounds")}
    seconds = stats[statistic]
    return {**facts, **times, "seconds": seconds, "images_per_second": facts["images"] / seconds}


def _with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds `ratio`, images/s over those of the fastest rival, and `of_floor`, the share of the speed of the floor.

    Where there are several floors, bytes and multiply-adds, the slower one binds.
    """
    for row in rows:
        same = [other for other in rows if all(other[key] == row[key] for key in ("op", "case", "threads"))]
        rival = max((o["images_per_second"] for o in same if o["role"] == "rival"), default=None)
        floor = min((o["images_per_second"] for o in same if o["role"] == "floor"), default=None)
        row["ratio"] = None if rival is None else row["images_per_second"] / rival
        row["of_floor"] = None if floor is None else row["images_per_second"] / floor
    return rows


def _machine(info: dict[str, Any]) -> dict[str, Any]:
    try:
        features, level = _native.features(), _native.level()
    except ImportError:
        features, level = [], "none"
    return {
        "cpu": info["cpu"].get("brand_raw", platform.processor()),
        "features": features,
        "level": level,  # that of our kernels
        "cores": os.cpu_count(),
        "system": platform.platform(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # its rows are among the skipped ones
    return found
