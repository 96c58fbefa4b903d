# SPDX-License-Identifier: Apache-2.0
"""Runs a kernel: threads that are at the same instruction go on together, those that are behind go first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .instructions import execute
from .machine import Machine
from .memory import Global, KernelError
from .parse import Instruction, Kernel, UnknownPtxError

_LANES = 4096  # that run side by side; more would need more memory and hardly less time


@dataclass(frozen=True)
class Pointer:
    """To memory of this process: a kernel may reach the bytes from its address on."""

    address: int
    size: int


def pointer(array: np.ndarray) -> Pointer:
    """To all of a contiguous array."""
    assert array.flags.c_contiguous
    return Pointer(array.ctypes.data, array.nbytes)


def run(
    kernel: Kernel, grid: int, arguments: Sequence[Pointer | int], shared: int = 0, endless: int = 1_000_000
) -> None:
    """Execute a kernel in place on what the pointers reach; a number is the bits of its parameter.

    `shared` is the bytes of shared memory that a block has; a kernel of more than `endless` instructions counts as one
    that does not end. Parameters without an argument are 0.
    Raises KernelError at the first thing that a kernel must not do, UnknownPtxError for what is not known here.
    """
    memory = _execute(kernel, grid, arguments, shared, endless, order=0)
    if memory.hazard:  # harmless where nobody uses what was read too late, as copies of a value that one thread stores
        for order in (1, -1):
            if not np.array_equal(_execute(kernel, grid, arguments, shared, endless, order).data, memory.data):
                raise KernelError(f"{kernel.name}: {memory.hazard}; the order of warps changes the result")
    memory.write_back()


def _execute(
    kernel: Kernel, grid: int, arguments: Sequence[Pointer | int], shared: int, endless: int, order: int
) -> Global:
    """The memory after the kernel. Warps go together if `order` is 0, else one after the other, up or down."""
    pointers = [argument for argument in arguments if isinstance(argument, Pointer)]
    tables = [pointer(table) for table in kernel.constants.values()]
    memory = Global(((each.address, each.size) for each in (*pointers, *tables)), races=order == 0)
    values = [memory.address(each.address) if isinstance(each, Pointer) else each for each in arguments]
    values += [0] * (len(kernel.parameters) - len(values))
    parameters = {name: value for (_, name), value in zip(kernel.parameters, values, strict=True)}
    step = max(_LANES // kernel.threads, 1)
    with np.errstate(all="ignore"):
        for first in range(0, grid, step):
            blocks = range(first, min(first + step, grid))
            _Blocks(Machine(kernel, grid, blocks, parameters, memory, shared), order).run(endless)
    return memory


class _Blocks:
    """Where every thread of some blocks stands."""

    def __init__(self, machine: Machine, order: int) -> None:
        self.machine, self.kernel = machine, machine.kernel
        self.alive = machine.everyone
        self.turns = {0: machine.everyone}  # those with a lower number run up to the next barrier first
        if order:
            warps = machine.thread // 32
            self.turns = {order * int(warp): warps == warp for warp in np.unique(warps)}
        self.turn = 0
        self.at: dict[tuple[int, int], np.ndarray] = {}  # turn and instruction -> the lanes that come to it next
        self.waiting: dict[int, np.ndarray] = {}  # instruction -> the lanes that wait at the barrier before it
        self._all_go({0: machine.everyone})

    def run(self, endless: int) -> None:
        steps = 0
        while self.at or self.waiting:
            if not self.at:
                self._pass_barrier()
            self.turn, place = key = min(self.at)
            mask = self.at.pop(key)
            while mask is not None and place < len(self.kernel.instructions):
                instruction = self.kernel.instructions[place]
                place += 1
                try:
                    mask = self._step(instruction, place, mask)
                except KernelError as finding:
                    raise KernelError(f"{self.kernel.name}: {finding} [{instruction}]") from None
                steps += 1
                if steps > endless:
                    raise KernelError(f"{self.kernel.name}: no end after {steps} instructions [{instruction}]")
                if mask is not None and (self.turn, place) in self.at:
                    mask = self._go(place, mask)

    def _step(self, instruction: Instruction, following: int, mask: np.ndarray) -> np.ndarray | None:
        """Execute one instruction; the lanes that go on to the following one, None if they were sent elsewhere."""
        allowed = self.machine.predicate(instruction, mask)
        if instruction.opcode == "bra":
            self._go(self.kernel.labels[instruction.operands[0]], allowed)
        elif instruction.opcode == "brx":
            self._branch_by_index(instruction, allowed)
        elif instruction.opcode in ("ret", "exit"):
            self.alive = self.alive & ~allowed
        elif instruction.opcode in ("bar", "barrier") and "warp" not in instruction.modifiers:
            self._wait(instruction, following, allowed)
        else:
            if allowed.any():
                execute(self.machine, instruction, allowed)
            return mask
        return self._go(following, mask & ~allowed)

    def _go(self, place: int, mask: np.ndarray) -> None:
        if mask.any():
            key = self.turn, place
            mask = mask | self.at[key] if key in self.at else mask
            self.at[key] = self.machine.everyone if mask.all() else mask

    def _all_go(self, places: dict[int, np.ndarray]) -> None:
        """To these places, each in its turn."""
        for turn, members in self.turns.items():
            self.turn = turn
            for place, mask in places.items():
                self._go(place, mask & members)

    def _branch_by_index(self, instruction: Instruction, mask: np.ndarray) -> None:
        index = self.machine.read(instruction.operands[0], "u32")
        targets = self.kernel.targets[instruction.operands[1]]
        if (index[mask] >= len(targets)).any():
            raise KernelError(f"a branch beyond the last of its {len(targets)} targets")
        for i, name in enumerate(targets):
            self._go(self.kernel.labels[name], mask & (index == i))

    def _wait(self, instruction: Instruction, following: int, mask: np.ndarray) -> None:
        """At barrier 0, for all threads; a divergent one is found when nobody else can go on."""
        if instruction.modifiers[0] != "sync" or instruction.operands != ("0",):
            raise UnknownPtxError(str(instruction))
        self.waiting[following] = self.waiting.get(following, np.zeros_like(mask)) | mask

    def _pass_barrier(self) -> None:
        """All that live wait: a block goes on where its threads wait at the same barrier."""
        for place, mask in self.waiting.items():
            here, alive = (each.reshape(-1, self.kernel.threads) for each in (mask, self.alive))
            if (here.any(1) & (here != alive).any(1)).any():
                barrier = self.kernel.instructions[place - 1]
                raise KernelError(f"{self.kernel.name}: threads of one block wait at different barriers [{barrier}]")
        self.machine.barriers = self.machine.barriers + self.alive
        places, self.waiting = self.waiting, {}
        self._all_go(places)
