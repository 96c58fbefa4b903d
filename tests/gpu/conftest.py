# SPDX-License-Identifier: Apache-2.0
"""Triton interprets or compiles, decided when it is imported: the interpreter's tests have a process of their own."""

from __future__ import annotations

from dssm import backends

INTERPRETING = ["test_guard.py", "test_mutants.py", "test_roofline.py"]  # test_interpreter.py runs them
COMPILING = ["test_compile.py", "test_compile_mutants.py", "test_interpreter.py"]

collect_ignore = COMPILING if backends.INTERPRETED else INTERPRETING
