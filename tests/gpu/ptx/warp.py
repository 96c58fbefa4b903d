# SPDX-License-Identifier: Apache-2.0
"""What the 32 threads of a warp do together: shuffles, votes, reductions and products of small matrices."""

from __future__ import annotations

import re

import numpy as np

from .machine import Machine
from .memory import KernelError
from .parse import Instruction, UnknownPtxError
from .table import executes
from .values import bits

WARP = 32
_LANE = np.arange(WARP)
_GROUP, _IN_GROUP = _LANE // 4, _LANE % 4  # as the layouts of fragments count lanes


def _check_whole(mask: np.ndarray) -> None:
    """What takes a whole warp has undefined results where some of its threads are elsewhere."""
    warps = mask.reshape(-1, WARP)
    if (warps.any(1) & ~warps.all(1)).any():
        raise KernelError("some threads of a warp take part and others do not")


@executes("shfl", modifiers="sync bfly down up idx")
def _shuffle(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    target, source, distance, clamp, members = instruction.operands
    _check_members(machine, members, mask)
    by, limits = (machine.read(operand, "u32").astype(np.int64) for operand in (distance, clamp))
    lane = machine.thread % WARP
    segment = limits >> 8 & 31
    last = lane & segment | limits & 31 & ~segment
    mode = next(name for name in instruction.modifiers if name in ("bfly", "down", "up", "idx"))
    wanted = {
        "bfly": lane ^ by,
        "down": lane + by,
        "up": lane - by,
        "idx": lane & segment | by & ~segment & 31,
    }[mode]
    inside = wanted >= last if mode == "up" else wanted <= last
    giver = np.arange(machine.lanes) - lane + np.where(inside, wanted, lane)
    if not mask[giver[mask]].all():
        raise KernelError("a shuffle reads from a thread that does not take part")
    value = machine.read(source, "b32")[giver]
    register, _, found = target.partition("|") if isinstance(target, str) else ("", "", "")
    machine.write(register, value, "b32", mask)
    if found:
        machine.write(found, inside, "pred", mask)


@executes("redux", modifiers="sync add min max and or xor")
def _reduce(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    target, source, members = instruction.operands
    _check_members(machine, members, mask)
    name = next(name for name in instruction.modifiers if name != "sync")
    function = {
        "add": np.add,
        "min": np.minimum,
        "max": np.maximum,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
    }[name]
    values = machine.read(source, instruction.type).reshape(-1, WARP)
    _check_whole(mask)
    result = function.reduce(values, axis=1, dtype=values.dtype)
    machine.write(target, result.repeat(WARP), instruction.type, mask)


@executes("vote", modifiers="sync ballot any all uni")
def _vote(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    target, source, members = instruction.operands
    _check_members(machine, members, mask)
    value = machine.read(source.lstrip("!"), "pred") ^ source.startswith("!")
    yes, here = (value & mask).reshape(-1, WARP), mask.reshape(-1, WARP)
    if "ballot" in instruction.modifiers:
        ballot = (yes.astype(np.uint32) << _LANE.astype(np.uint32)).sum(1, dtype=np.uint32)
        return machine.write(target, ballot.repeat(WARP), "b32", mask)
    every = (yes == here).all(1)
    result = {"any": yes.any(1), "all": every, "uni": every | ~yes.any(1)}
    name = next(name for name in instruction.modifiers if name in result)
    return machine.write(target, result[name].repeat(WARP), "pred", mask)


@executes("activemask")
def _active(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    ballot = (mask.reshape(-1, WARP).astype(np.uint32) << _LANE.astype(np.uint32)).sum(1, dtype=np.uint32)
    machine.write(instruction.operands[0], ballot.repeat(WARP), "b32", mask)


@executes("bar", "barrier", modifiers="warp sync")
def _warp_barrier(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    _check_members(machine, instruction.operands[0], mask)
    machine.warp_barriers = machine.warp_barriers + mask.astype(np.int32)


def _check_members(machine: Machine, members: str, mask: np.ndarray) -> None:
    """All threads that an instruction of a warp names must come to it together."""
    named = machine.read(members, "u32")
    here = (mask.reshape(-1, WARP).astype(np.uint32) << _LANE.astype(np.uint32)).sum(1, dtype=np.uint32).repeat(WARP)
    absent = mask & (named & ~here != 0)
    if absent.any():
        raise KernelError("an instruction of a warp names threads that do not come to it")


@executes("ldmatrix", modifiers="sync aligned m8n8 x1 x2 x4 trans shared")
def _load_matrix(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """8x8 matrices of 16 bits from shared memory: lane 8 j + i has the address of row i of matrix j."""
    target, source = instruction.operands
    _check_whole(mask)
    targets = target if isinstance(target, tuple) else (target,)
    giving = mask & (machine.thread % WARP < 8 * len(targets))
    rows = machine.memories["shared"].load(machine.addresses(source)[giving], 2, 8, machine.members(giving))
    rows = rows.reshape(-1, len(targets), 8, 8)
    for i, operand in enumerate(targets):
        matrix = rows[:, i].swapaxes(1, 2) if "trans" in instruction.modifiers else rows[:, i]
        pairs = np.stack([matrix[:, _GROUP, 2 * _IN_GROUP], matrix[:, _GROUP, 2 * _IN_GROUP + 1]], -1)
        value = np.zeros(machine.lanes, np.uint32)
        value[mask] = np.ascontiguousarray(pairs).view(np.uint32).reshape(-1)
        machine.write(operand, value, "b32", mask)


@executes("mma", modifiers="sync aligned m16n8k16 m16n8k8 m8n8k4 row col")
def _multiply(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """D = A B + C of every warp, (m, k) by (k, n), added up in float64 where a GPU keeps a little more than float32."""
    shape = next(name for name in instruction.modifiers if name.startswith("m") and name[1].isdigit())
    if instruction.modifiers[-6:-4] != ("row", "col"):
        raise UnknownPtxError(str(instruction))
    _check_whole(mask)
    m, n, k = map(int, re.findall(r"\d+", shape))
    types = dict(zip("DABC", instruction.modifiers[-4:], strict=True))
    fragments = dict(zip("DABC", instruction.operands, strict=True))
    a = _gather(machine, fragments["A"], types["A"], _places_a(m, k, bits(types["A"])), (m, k))
    b = _gather(machine, fragments["B"], types["B"], _places_b(k, bits(types["B"])), (k, n))
    c = _gather(machine, fragments["C"], types["C"], _places_c(m), (m, n))
    d = a @ b + c
    registers = fragments["D"]
    rows, columns = _places_c(m)
    each = len(rows) // len(registers)  # values in a register
    for i, register in enumerate(registers):
        parts = [d[:, rows[j], columns[j]].reshape(-1) for j in range(each * i, each * (i + 1))]
        packed = parts[0] if each == 1 else np.stack(parts, 1)
        machine.write(register, packed, types["D"] + "x2" * (each == 2), mask)


Places = tuple[np.ndarray, np.ndarray]  # (values of a lane, 32) rows and columns


def _places_a(m: int, k: int, width: int) -> Places:
    """Values of a lane go along the row, then to the lower half of the rows, then to the right half of the columns."""
    packed = max(32 // width, 1)  # values that share a register
    blocks = [(row, column) for column in range(0, k, 4 * packed) for row in range(0, m, 8)]
    places = [(_GROUP + row, _IN_GROUP * packed + column + i) for row, column in blocks for i in range(packed)]
    return np.stack([row for row, _ in places]), np.stack([column for _, column in places])


def _places_b(k: int, width: int) -> Places:
    packed = max(32 // width, 1)
    places = [(_IN_GROUP * packed + row + i, _GROUP) for row in range(0, k, 4 * packed) for i in range(packed)]
    return np.stack([row for row, _ in places]), np.stack([column for _, column in places])


def _places_c(m: int) -> Places:
    places = [(_GROUP + row, _IN_GROUP * 2 + i) for row in range(0, m, 8) for i in range(2)]
    return np.stack([row for row, _ in places]), np.stack([column for _, column in places])


def _gather(
    machine: Machine, registers: tuple[str, ...], type: str, places: Places, shape: tuple[int, int]
) -> np.ndarray:
    """(warps, rows, columns) float64 of the matrix that lies scattered over a warp."""
    rows, columns = places
    packed = len(rows) // len(registers)
    values = [machine.read(register, type + "x2" * (packed == 2)).reshape(-1, WARP, packed) for register in registers]
    matrix = np.zeros((machine.lanes // WARP, *shape))
    for i, value in enumerate(values):
        for j in range(packed):
            matrix[:, rows[packed * i + j], columns[packed * i + j]] = value[:, :, j]
    return matrix
