# SPDX-License-Identifier: Apache-2.0
"""Triton interprets or compiles, decided when it is imported: the interpreter's tests have a process of their own."""

from __future__ import annotations

from pathlib import Path

from dssm import backends

# test_interpreter.py runs them.
INTERPRETING = {"test_guard.py", "test_mutants.py", "test_roofline.py", "test_training_step.py"}
OTHERS = {path.name for path in Path(__file__).parent.glob("test_*.py")} - INTERPRETING | {"ptx"}

collect_ignore = sorted(OTHERS if backends.INTERPRETED else INTERPRETING)
