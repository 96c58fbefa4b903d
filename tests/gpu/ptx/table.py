# SPDX-License-Identifier: Apache-2.0
"""The table from opcode to the function that does it; the families of instructions fill it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from .machine import Machine
from .parse import Instruction

Handler = Callable[[Machine, Instruction, np.ndarray], None]
H = TypeVar("H", bound=Handler)

TABLE: dict[str, tuple[Handler, frozenset[str]]] = {}
TYPES = frozenset(
    f"{kind}{width}{packed}" for kind in "bsuf" for width in (8, 16, 32, 64, 128) for packed in ("", "x2")
) | {"pred", "bf16", "bf16x2", "tf32"}


def executes(*opcodes: str, modifiers: str = "") -> Callable[[H], H]:
    """Enter a handler, and the modifiers that it knows beside the types; with others an instruction is unknown."""

    def enter(handler: H) -> H:
        for opcode in opcodes:
            TABLE[opcode] = handler, TYPES.union(modifiers.split())
        return handler

    return enter
