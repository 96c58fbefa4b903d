# SPDX-License-Identifier: Apache-2.0
"""Arithmetic, comparisons and the handling of bits."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np

from .machine import Machine
from .parse import Instruction, UnknownPtxError
from .table import executes
from .values import bits, flushed, is_float

_COMPARISONS: dict[str, Callable] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    **{"lo": operator.lt, "ls": operator.le, "hi": operator.gt, "hs": operator.ge},
    "num": lambda a, b: ~(np.isnan(a) | np.isnan(b)),
    "nan": lambda a, b: np.isnan(a) | np.isnan(b),
}


def _sources(machine: Machine, instruction: Instruction) -> list[np.ndarray]:
    """The values of all operands but the first, in the type of the instruction."""
    values = [machine.read(operand, instruction.type) for operand in instruction.operands[1:]]
    return [flushed(value) for value in values] if "ftz" in instruction.modifiers else values


def _result(machine: Machine, instruction: Instruction, value: np.ndarray, mask: np.ndarray) -> None:
    if "ftz" in instruction.modifiers:
        value = flushed(value)
    if "sat" in instruction.modifiers:
        if not is_float(instruction.type):
            raise UnknownPtxError(str(instruction))
        value = np.where(np.isnan(value), 0, np.clip(value, 0, 1)).astype(value.dtype)
    machine.write(instruction.operands[0], value, instruction.type, mask)


@executes("add", "sub", modifiers="rn ftz sat")
def _add(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    a, b = _sources(machine, instruction)
    _result(machine, instruction, a + b if instruction.opcode == "add" else a - b, mask)


@executes("mul", "mad", modifiers="lo hi wide rn ftz sat")
def _mul(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    type = instruction.type
    if is_float(type):
        if instruction.opcode == "mad":
            return _fma(machine, instruction, mask)
        a, b = _sources(machine, instruction)
        return _result(machine, instruction, a * b, mask)
    a, b = (machine.read(operand, type) for operand in instruction.operands[1:3])
    if "wide" in instruction.modifiers:
        type = f"{type[0]}{2 * bits(type)}"
        product = a.astype(f"i{bits(type) // 8}") * b.astype(f"i{bits(type) // 8}")
        product = product.view(machine.read("0", type).dtype)
    elif "hi" in instruction.modifiers:
        wide = object if bits(type) == 64 else np.int64
        product = ((a.astype(wide) * b.astype(wide)) >> bits(type)).astype(a.dtype)
    else:
        product = a * b
    if instruction.opcode == "mad":
        product = product + machine.read(instruction.operands[3], type)
    machine.write(instruction.operands[0], product, type, mask)
    return None


@executes("fma", modifiers="rn ftz sat")
def _fma(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    a, b, c = _sources(machine, instruction)
    if a.dtype == np.float64:
        value = (a.astype(np.longdouble) * b + c).astype(np.float64)
    else:
        value = _rounded_once(a.astype(np.float64) * b, c.astype(np.float64)).astype(a.dtype)
    _result(machine, instruction, value, mask)


def _rounded_once(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a + b in float64 such that rounding it again, to float32, rounds the exact sum: an inexact one is made odd."""
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)
    even = (total.view(np.int64) & 1) == 0
    return np.where((error != 0) & even & np.isfinite(error), np.nextafter(total, np.copysign(np.inf, error)), total)


@executes("div", modifiers="rn full approx ftz")
def _div(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    a, b = _sources(machine, instruction)
    if is_float(instruction.type):
        return _result(machine, instruction, a / b, mask)
    divisor = np.where(b == 0, 1, b).astype(b.dtype)
    quotient = (a - np.fmod(a, divisor)) // divisor  # towards zero
    _result(machine, instruction, np.where(b == 0, np.array(-1).astype(a.dtype), quotient), mask)
    return None


@executes("rem")
def _rem(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    a, b = _sources(machine, instruction)
    _result(machine, instruction, np.where(b == 0, a, np.fmod(a, np.where(b == 0, 1, b).astype(b.dtype))), mask)


@executes("min", "max", modifiers="NaN ftz")
def _extreme(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    passes_nan = "NaN" in instruction.modifiers or not is_float(instruction.type)
    functions = (np.minimum, np.maximum) if passes_nan else (np.fmin, np.fmax)
    _result(machine, instruction, functions[instruction.opcode == "max"](*_sources(machine, instruction)), mask)


@executes("neg", "abs", modifiers="ftz")
def _sign(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    (value,) = _sources(machine, instruction)
    _result(machine, instruction, np.abs(value) if instruction.opcode == "abs" else -value, mask)


@executes("copysign")
def _copysign(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    sign, value = _sources(machine, instruction)
    _result(machine, instruction, np.copysign(value, sign), mask)


_FUNCTIONS: dict[str, Callable] = {
    "ex2": np.exp2,
    "lg2": np.log2,
    "rcp": lambda x: 1 / x,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
}


@executes(*_FUNCTIONS, modifiers="rn approx ftz")
def _function(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """To the nearest value, where the approximations of a GPU are off by a few units in the last place."""
    (value,) = _sources(machine, instruction)
    exact = _FUNCTIONS[instruction.opcode](value.astype(np.float64) if value.itemsize < 8 else value)
    _result(machine, instruction, exact.astype(value.dtype), mask)


@executes("and", "or", "xor")
def _logic(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    function = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}[instruction.opcode]
    _result(machine, instruction, function(*_sources(machine, instruction)), mask)


@executes("not", "cnot")
def _not(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    (value,) = _sources(machine, instruction)
    _result(machine, instruction, ~value if instruction.opcode == "not" else value == 0, mask)


@executes("lop3")
def _lop3(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """Bit i of the table is the result where the bits of a, b and c are those of i."""
    target, *operands, table = instruction.operands
    a, b, c = (machine.read(operand, "b32") for operand in operands)
    result = np.zeros_like(a)
    for i in range(8):
        if int(table, 0) >> i & 1:
            result |= (a if i & 4 else ~a) & (b if i & 2 else ~b) & (c if i & 1 else ~c)
    machine.write(target, result, "b32", mask)


@executes("shl", "shr")
def _shift(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """Amounts beyond the width leave nothing, or the sign."""
    target, source, amount = instruction.operands
    value, places = machine.read(source, instruction.type), machine.read(amount, "u32")
    width = bits(instruction.type)
    near = np.minimum(places, width - 1).astype(value.dtype)
    if instruction.opcode == "shl":
        result = np.where(places < width, value << near, 0)
    else:
        result = np.where((places < width) | (value < 0), value >> near, 0)
    machine.write(target, result.astype(value.dtype), instruction.type, mask)


@executes("shf", modifiers="l r wrap clamp")
def _funnel(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """32 bits out of two words, the first of which is the lower one."""
    target, low, high, amount = instruction.operands
    words = machine.read(high, "u32").astype(np.uint64) << np.uint64(32) | machine.read(low, "u32")
    places = machine.read(amount, "u32").astype(np.uint64)
    places = places & np.uint64(31) if "wrap" in instruction.modifiers else np.minimum(places, np.uint64(32))
    shifted = words << places >> np.uint64(32) if "l" in instruction.modifiers else words >> places
    machine.write(target, shifted.astype(np.uint32), "u32", mask)


@executes("bfe")
def _extract(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """`length` bits from `start` on; bits that do not exist are the sign of a signed value, else 0."""
    target, source, start, length = instruction.operands
    width = bits(instruction.type)
    value = machine.read(source, instruction.type).astype(object)
    first, count = (machine.read(operand, "u32").astype(object) & 255 for operand in (start, length))
    field = (value >> first) & ((1 << count) - 1)
    if instruction.type[0] == "s":
        top = np.minimum(first + count - 1, width - 1)
        negative = ((value >> top) & 1 != 0) & (count > 0)
        field = np.where(negative, field | -(1 << count), field)
    machine.write(target, (field & ((1 << width) - 1)).astype(f"u{width // 8}"), f"u{width}", mask)


@executes("bfi")
def _insert(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    target, source, base, start, length = instruction.operands
    width = bits(instruction.type)
    value, old = (machine.read(operand, instruction.type).astype(object) for operand in (source, base))
    first, count = (machine.read(operand, "u32").astype(object) & 255 for operand in (start, length))
    field = (((1 << count) - 1) << first) & ((1 << width) - 1)
    machine.write(target, ((value << first) & field | old & ~field).astype(f"u{width // 8}"), f"u{width}", mask)


@executes("prmt")
def _permute(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """Each byte is one of the eight of b:a, or eight times the sign of it."""
    target, low, high, selector = instruction.operands
    pool = np.stack([machine.read(operand, "b32") for operand in (low, high)], 1).view(np.uint8)  # (N, 8)
    wanted = machine.read(selector, "b32")[:, None] >> np.arange(0, 16, 4, dtype=np.uint32) & np.uint32(15)
    chosen = np.take_along_axis(pool, (wanted & np.uint32(7)).astype(np.int64), 1)
    chosen = np.where(wanted & np.uint32(8), np.where(chosen & 128, 255, 0), chosen).astype(np.uint8)
    machine.write(target, chosen.view(np.uint32)[:, 0], "b32", mask)


def _bits(value: np.ndarray) -> np.ndarray:
    """(N,) unsigned -> (N, width) bits, the lowest first."""
    return np.unpackbits(value.view(np.uint8).reshape(len(value), -1), axis=1, bitorder="little")


@executes("popc", "clz", "brev", "bfind", modifiers="shiftamt")
def _count(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    target, source = instruction.operands
    width = bits(instruction.type)
    value = machine.read(source, f"u{width}")
    if instruction.opcode == "bfind" and instruction.type[0] == "s":
        value = np.where(value >> np.array(width - 1, value.dtype), ~value, value)
    ones = _bits(value)
    if instruction.opcode == "brev":
        turned = np.packbits(ones[:, ::-1], axis=1, bitorder="little")
        return machine.write(target, turned.view(value.dtype)[:, 0], f"u{width}", mask)
    leading = np.where(value == 0, width, ones[:, ::-1].argmax(1))
    highest = np.where(value == 0, 2**32 - 1, leading if "shiftamt" in instruction.modifiers else width - 1 - leading)
    result = {"popc": ones.sum(1), "clz": leading, "bfind": highest}[instruction.opcode]
    return machine.write(target, result.astype(np.uint32), "u32", mask)


@executes("setp", modifiers=" ".join(_COMPARISONS) + " equ neu ltu leu gtu geu and or xor ftz")
def _compare(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """Comparisons that end in u hold where one of the numbers is none. A further predicate may be joined."""
    target, first, second, *third = instruction.operands
    name, *rest = instruction.modifiers
    a, b = (machine.read(operand, instruction.type) for operand in (first, second))
    if "ftz" in rest:
        a, b = flushed(a), flushed(b)
    unordered = is_float(instruction.type) and name.endswith("u")
    result = _COMPARISONS[name[:-1] if unordered else name](a, b)
    if is_float(instruction.type) and name not in ("num", "nan"):
        nan = np.isnan(a) | np.isnan(b)
        result = result | nan if unordered else result & ~nan
    results = [result, ~result]
    if third:
        join = next(getattr(operator, f"{word}_" if word != "xor" else word) for word in rest if word in _JOINS)
        negated = third[0].startswith("!")
        other = machine.read(third[0].lstrip("!"), "pred") ^ negated
        results = [join(each, other) for each in results]
    for predicate, value in zip(target.split("|"), results, strict=False):
        machine.write(predicate, value, "pred", mask)


_JOINS = ("and", "or", "xor")


@executes("selp")
def _select(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    target, yes, no, predicate = instruction.operands
    kind = f"b{bits(instruction.type)}"
    chosen = np.where(machine.read(predicate, "pred"), machine.read(yes, kind), machine.read(no, kind))
    machine.write(target, chosen, kind, mask)


@executes("slct", modifiers="ftz")
def _select_by_sign(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    target, yes, no, number = instruction.operands
    kind = f"b{bits(instruction.modifiers[-2])}"
    chosen = np.where(machine.read(number, instruction.type) >= 0, machine.read(yes, kind), machine.read(no, kind))
    machine.write(target, chosen, kind, mask)
