# SPDX-License-Identifier: Apache-2.0
"""PTX's types in NumPy: what the bits of a register mean, and the bits of a value."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from .parse import UnknownPtxError

_KINDS = {"b": "u", "u": "u", "s": "i", "f": "f"}
_PACKED = re.compile(r"(f16|bf16|f32|u16|s16)x2")


@cache
def bits(type: str) -> int:
    """The width of a type; that of a predicate is 1."""
    if type == "pred":
        return 1
    if _PACKED.fullmatch(type):
        return 2 * bits(type[:-2])
    return 32 if type == "tf32" else int(re.sub(r"\D", "", type))


@cache
def container(type: str) -> np.dtype:
    """What a register of this type is kept in."""
    return np.dtype(bool) if type == "pred" else np.dtype(f"u{bits(type) // 8}")


def is_float(type: str) -> bool:
    return type.startswith(("f", "bf", "tf"))


def decode(raw: np.ndarray, type: str) -> np.ndarray:
    """(N,) bits -> (N,) values; of a packed type (N, 2) values. A bfloat16 is a float32."""
    if type == "pred":
        return raw != 0
    raw = np.ascontiguousarray(raw.astype(container(type), copy=False))
    if _PACKED.fullmatch(type):
        halves = raw.view(container(type[:-2])).reshape(-1, 2)
        return decode(halves.reshape(-1), type[:-2]).reshape(-1, 2)
    if type == "bf16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    if type == "tf32":
        return (raw & np.uint32(0xFFFFE000)).view(np.float32)  # tensor cores ignore the last 13 bits
    return raw.view(_dtype(type))


def encode(value: np.ndarray, type: str) -> np.ndarray:
    """(N,) values -> (N,) bits; a value of another dtype is converted first."""
    if type == "pred":
        return value.astype(bool)
    if _PACKED.fullmatch(type):
        halves = encode(value.reshape(-1), type[:-2])
        return halves.view(container(type))
    if type == "bf16":
        return _bfloat16(value)
    if type == "tf32":
        return _round_bits(value.astype(np.float32).view(np.uint32), 13, ties_away=True)
    return np.ascontiguousarray(value.astype(_dtype(type), copy=False)).view(container(type))


def extended(value: np.ndarray, type: str, register: np.dtype) -> np.ndarray:
    """The bits of a value in a register that may be wider: signed types repeat their sign."""
    if type.startswith("s") and not _PACKED.fullmatch(type):
        return value.astype(_dtype(type)).astype(f"i{register.itemsize}").view(register)
    raw = encode(value, type)
    return raw if raw.dtype == register else raw.astype(register)


def flushed(value: np.ndarray) -> np.ndarray:
    """Subnormal numbers as zeros of their sign."""
    return np.where(np.abs(value) < np.finfo(value.dtype).tiny, np.copysign(value.dtype.type(0), value), value)


@cache
def _dtype(type: str) -> np.dtype:
    if type[0] not in _KINDS:
        raise UnknownPtxError(f"type {type}")
    return np.dtype(f"{_KINDS[type[0]]}{bits(type) // 8}")


def _bfloat16(value: np.ndarray) -> np.ndarray:
    raw = value.astype(np.float32).view(np.uint32)
    rounded = (_round_bits(raw, 16) >> 16).astype(np.uint16)
    return np.where(np.isnan(value), np.uint16(0x7FFF), rounded)


def _round_bits(raw: np.ndarray, dropped: int, ties_away: bool = False) -> np.ndarray:
    """To the nearest float32 whose last bits are zero: infinities and exponents take care of themselves."""
    half = np.uint32(1 << (dropped - 1))
    last = np.uint32(1) if ties_away else (raw >> np.uint32(dropped)) & np.uint32(1)
    finite = (raw & np.uint32(0x7F800000)) != 0x7F800000
    rounded = (raw + (half - np.uint32(1)) + last) & np.uint32(-(1 << dropped) & 0xFFFFFFFF)
    return np.where(finite, rounded, raw)
