# SPDX-License-Identifier: Apache-2.0
"""cvt: between integers and floating-point numbers of all widths."""

from __future__ import annotations

import numpy as np

from .machine import Machine
from .parse import Instruction, UnknownPtxError
from .table import executes
from .values import bits, decode, flushed, is_float

_TO_INTEGER = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}
_DIRECTIONS = {"rz": 0, "rm": -np.inf, "rp": np.inf}


@executes("cvt", modifiers="rn rna rz rm rp rni rzi rmi rpi ftz sat relu")
def _convert(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    target, *sources = instruction.operands
    modifiers, to, of = instruction.modifiers[:-2], *instruction.modifiers[-2:]
    values = [machine.read(source, of) for source in sources]
    if "ftz" in modifiers:
        values = [flushed(value) for value in values]
    if to.endswith("x2"):  # the first source is the upper half
        values = [np.stack(values[::-1], 1)]
    machine.write(target, _converted(values[0], of, to, modifiers), to, mask)


def _converted(value: np.ndarray, of: str, to: str, modifiers: tuple[str, ...]) -> np.ndarray:
    integral = next((name for name in modifiers if name in _TO_INTEGER), None)
    if integral:
        value = _TO_INTEGER[integral](value)
    if is_float(to):
        return _to_float(value, to, modifiers)
    if is_float(of):
        if integral is None:
            raise UnknownPtxError(f"a float becomes an integer without a rounding: {modifiers}")
        return _clamped(value, to)
    if "sat" in modifiers:
        lowest, highest = _limits(to)
        low, high = _limits(of)
        value = np.clip(value, max(lowest, low), min(highest, high))
    return value.astype(decode(np.zeros(1, np.uint64), to).dtype)


def _to_float(value: np.ndarray, to: str, modifiers: tuple[str, ...]) -> np.ndarray:
    if "relu" in modifiers:
        value = np.maximum(value, 0)
    if "sat" in modifiers:
        value = np.where(np.isnan(value), 0, np.clip(value, 0, 1))
    direction = next((name for name in modifiers if name in _DIRECTIONS), None)
    if direction is None:
        return value if to in ("bf16", "bf16x2", "tf32") else value.astype(decode(np.zeros(1, np.uint64), to).dtype)
    if to not in ("f16", "f32", "f64"):
        raise UnknownPtxError(f"a conversion to {to} by {direction}")
    nearest = value.astype(f"f{bits(to) // 8}")
    towards = nearest.dtype.type(_DIRECTIONS[direction])
    exact = value.astype(np.longdouble)
    past = {
        "rz": np.abs(nearest.astype(np.longdouble)) > np.abs(exact),
        "rm": nearest.astype(np.longdouble) > exact,
        "rp": nearest.astype(np.longdouble) < exact,
    }[direction]
    return np.where(past, np.nextafter(nearest, towards), nearest)


def _limits(type: str) -> tuple[int, int]:
    width = bits(type)
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if type[0] == "s" else (0, (1 << width) - 1)


def _clamped(value: np.ndarray, to: str) -> np.ndarray:
    """To the integers that there are; what is no number becomes 0."""
    lowest, highest = _limits(to)
    kind = decode(np.zeros(1, np.uint64), to).dtype
    number = np.where(np.isnan(value), 0, value).astype(np.float64)
    inside = (number >= lowest) & (number < float(highest + 1))
    limit = np.where(number < lowest, np.array(lowest, kind), np.array(highest, kind))
    return np.where(inside, np.where(inside, number, 0).astype(kind), limit)
