# SPDX-License-Identifier: Apache-2.0
"""Triton interprets or compiles, decided when it is imported: the interpreter's tests have a process of their own."""

from __future__ import annotations

from dssm import backends

INTERPRETED = ["test_guard.py", "test_mutants.py", "test_roofline.py"]  # test_interpreter.py runs them

collect_ignore = [] if backends.INTERPRETED else INTERPRETED
if backends.INTERPRETED:
    collect_ignore_glob = ["test_compile*.py", "test_ptx*.py", "test_budget.py", "test_interpreter.py"]
