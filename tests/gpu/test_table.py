# SPDX-License-Identifier: Apache-2.0
"""The published list of mutants is that of the declarations."""

from __future__ import annotations

import pytest

pytest.importorskip("triton")
from .mutants import table


def test_the_table_is_up_to_date() -> None:
    assert table.FILE.read_text() == table.text(), "run: make gpu-mutants"
