# SPDX-License-Identifier: Apache-2.0
"""Executes one instruction by what the families have entered in the table."""

from __future__ import annotations

import numpy as np

from . import arithmetic, conversion, movement, warp  # noqa: F401  (they fill the table)
from .machine import Machine
from .parse import Instruction, UnknownPtxError
from .table import TABLE


def execute(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """Do an instruction in the lanes of the mask. Raises UnknownPtxError with its text where it is not in the table."""
    handler, modifiers = TABLE.get(instruction.opcode, (None, frozenset()))
    if handler is None or not modifiers.issuperset(instruction.modifiers):
        raise UnknownPtxError(str(instruction))
    handler(machine, instruction, mask)
