# SPDX-License-Identifier: Apache-2.0
"""What moves values between registers and memories, atomic updates and asynchronous copies."""

from __future__ import annotations

import numpy as np

from .machine import Machine
from .memory import KernelError
from .parse import Instruction, UnknownPtxError
from .table import executes
from .values import bits, container

_CACHING = "nc ca cg cs cv lu wb wt L1 L2 evict_first evict_last evict_normal evict_unchanged no_allocate cache_hint"
_ORDERED = ("volatile", "relaxed", "acquire", "release", "acq_rel")
_SCOPES = "cta gpu sys weak aligned cluster"


@executes("mov")
def _move(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """A value, or several put together into one, or one taken apart; the first is the lowest."""
    target, source = instruction.operands
    width = bits(instruction.type)
    if isinstance(source, tuple):
        part = f"b{width // len(source)}"
        packed = np.stack([machine.read(operand, part) for operand in source], 1)
        machine.write(target, packed.view(container(f"b{width}"))[:, 0], f"b{width}", mask)
    elif isinstance(target, tuple):
        part = f"b{width // len(target)}"
        values = machine.read(source, f"b{width}")[:, None].view(container(part))
        for i, operand in enumerate(target):
            machine.write(operand, values[:, i].copy(), part, mask)
    else:
        type = "pred" if instruction.type == "pred" else f"b{width}"
        machine.write(target, machine.read(source, type), type, mask)


@executes("cvta", modifiers="to global shared local")
def _convert_address(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """All pointers of a kernel are used with the memory they belong to, so that an address is left as it is."""
    target, source = instruction.operands
    machine.write(target, machine.read(source, instruction.type), instruction.type, mask)


@executes("ld", modifiers=f"param global shared local const v2 v4 v8 {_CACHING} {_SCOPES} {' '.join(_ORDERED)}")
def _load(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    target, source = instruction.operands[:2]
    if "param" in instruction.modifiers:
        value = np.full(machine.lanes, machine.parameters[source.strip("[] ")], np.uint64)
        machine.write(target, value.astype(container(instruction.type)), f"b{bits(instruction.type)}", mask)
        return
    targets = target if isinstance(target, tuple) else (target,)
    width = bits(instruction.type) // 8
    loaded = machine.memories[_space(instruction)].load(
        machine.addresses(source)[mask], width, len(targets), machine.members(mask), _is_ordered(instruction)
    )
    for i, operand in enumerate(targets):
        value = np.zeros(machine.lanes, f"u{width}")
        value[mask] = loaded[:, i]
        kind = f"i{width}" if instruction.type[0] == "s" else f"u{width}"
        machine.write(operand, value.view(kind), f"{kind[0].replace('i', 's')}{8 * width}", mask)


@executes("st", modifiers=f"global shared local v2 v4 v8 {_CACHING} {_SCOPES} {' '.join(_ORDERED)}")
def _store(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    target, source = instruction.operands[:2]
    sources = source if isinstance(source, tuple) else (source,)
    type = f"b{bits(instruction.type)}"
    values = np.stack([machine.read(operand, type)[mask] for operand in sources], 1)
    machine.memories[_space(instruction)].store(
        machine.addresses(target)[mask], values, machine.members(mask), _is_ordered(instruction)
    )


_UPDATES = {
    "add": lambda old, new: old + new,
    "min": np.fmin,
    "max": np.fmax,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "exch": lambda _, new: new,
    "cas": lambda old, expected, new: np.where(old == expected, new, old),
    "inc": lambda old, limit: np.where(old >= limit, 0, old + 1).astype(old.dtype),
    "dec": lambda old, limit: np.where((old == 0) | (old > limit), limit, old - 1).astype(old.dtype),
}


@executes(
    "atom", "red", modifiers=f"global shared noftz {' '.join(_UPDATES)} {_CACHING} {_SCOPES} {' '.join(_ORDERED)}"
)
def _update(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    target, address, *operands = instruction.operands if instruction.opcode == "atom" else ("_", *instruction.operands)
    type = instruction.type.replace("b", "u") if instruction.type.startswith("b") else instruction.type
    if type.endswith("x2") or type == "uf16":
        raise UnknownPtxError(str(instruction))
    function = next(_UPDATES[name] for name in instruction.modifiers if name in _UPDATES)
    values = [machine.read(operand, type)[mask] for operand in operands]
    memory = machine.memories[_space(instruction)]
    old = np.zeros(machine.lanes, values[0].dtype)
    old[mask] = memory.update(machine.addresses(address)[mask], values, function, machine.members(mask))
    machine.write(target, old, type, mask)


@executes("cp", modifiers=f"async commit_group wait_group wait_all shared global {_CACHING}")
def _copy(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """cp.async reads now and arrives when it is waited for; bytes beyond the source size are zeros."""
    if "commit_group" in instruction.modifiers:
        machine.copies.commit(mask)
    elif "wait_group" in instruction.modifiers:
        machine.copies.wait(mask, int(instruction.operands[0], 0))
    elif "wait_all" in instruction.modifiers:
        machine.copies.wait(mask, -1)
    else:
        target, source, size, *given = instruction.operands
        count = int(size, 0)
        sizes = machine.read(given[0], "u32").astype(np.int64) if given else np.full(machine.lanes, count)
        if not np.isin(sizes[mask], (0, count)).all():
            raise UnknownPtxError(f"part of a copy: {instruction}")
        copied = np.zeros((machine.lanes, count // 4), np.uint32)
        reading = mask & (sizes > 0)
        if reading.any():
            memory = machine.memories["global"]
            copied[reading] = memory.load(machine.addresses(source)[reading], 4, count // 4, machine.members(reading))
        machine.copies.start(machine.addresses(target)[mask], copied[mask], mask)


@executes("fence", "membar", modifiers=f"{_SCOPES} gl sc acq_rel")
def _fence(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """Accesses happen in order here. A fence alone does not order threads: it counts as no barrier."""


@executes("nanosleep")
def _sleep(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    """Time does not pass here."""


@executes("trap")
def _trap(machine: Machine, instruction: Instruction, mask: np.ndarray) -> None:
    raise KernelError(f"{machine.members(mask).name(0)} ends in {instruction.opcode}")


def _space(instruction: Instruction) -> str:
    """What names no memory is a generic address; nothing that Triton emits has one but for global memory."""
    return next((name for name in instruction.modifiers if name in ("shared", "local")), "global")


def _is_ordered(instruction: Instruction) -> bool:
    return any(name in _ORDERED for name in instruction.modifiers)
