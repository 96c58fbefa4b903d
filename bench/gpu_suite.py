# SPDX-License-Identifier: Apache-2.0
"""The tests of the ops run on a GPU, by themselves or under a tool of compute-sanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from dssm.errors import InputError

from .ferry import BACKENDS
from .runner import FOLDER

TESTS = FOLDER.parent / "tests" / "ops"
TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
FOUND = 86  # the status by which compute-sanitizer says that it has found something
# Under a tool a kernel takes a hundred times as long, and these launch the most.
LONG = "fuzz or gradcheck or agree"


def run_tests(tool: str | None = None) -> dict[str, Any]:
    """How many tests of every backend passed and which failed, if asked for under a tool of compute-sanitizer.

    Raises InputError where the tool or the tests are missing.
    """
    if not TESTS.is_dir():
        raise InputError(f"{TESTS} is missing: gpu_day runs in a checkout of dssm")
    before, options = ((), ()) if tool is None else (_sanitizer(tool), ("-k", f"not ({LONG})"))
    results = {backend: _pytest(backend, before, options) for backend in BACKENDS}
    return {"ok": all(result["status"] in (0, 5) for result in results.values()), **results}  # 5: no such kernel


def _sanitizer(tool: str) -> list[str]:
    program = shutil.which("compute-sanitizer")
    if program is None:
        raise InputError("compute-sanitizer is not on the PATH; it comes with the CUDA toolkit")
    return [program, "--tool", tool, "--target-processes", "all", "--error-exitcode", str(FOUND)]


def _pytest(backend: str, before: Sequence[str], options: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [*before, sys.executable, "-m", "pytest", str(TESTS), "--backend", backend, f"--junitxml={report}"]
        done = subprocess.run([*command, "-p", "no:cacheprovider", *options], cwd=TESTS.parents[1], env=environment())
        return {"status": done.returncode, **(summary(report.read_text()) if report.exists() else {})}


def environment() -> dict[str, str]:
    """Every tensor has an allocation of its own, so that what lies behind its end is nobody's."""
    clean = {name: value for name, value in os.environ.items() if name not in ("DSSM_BACKEND", "TRITON_INTERPRET")}
    return {**clean, "DSSM_TEST_DEVICE": "cuda", "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}


def summary(report: str) -> dict[str, Any]:
    """Of pytest's JUnit file: counts, and the tests that failed with the last line of what they said."""
    root = ElementTree.fromstring(report)
    suite = root if root.tag == "testsuite" else root[0]
    failed = {
        f"{case.get('classname')}::{case.get('name')}": (finding.get("message") or "").strip().splitlines()[-1:]
        for case in suite.iter("testcase")
        for finding in case
        if finding.tag in ("failure", "error")
    }
    return {**{name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}, "failed": failed}
