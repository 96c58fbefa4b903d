# SPDX-License-Identifier: Apache-2.0
"""Runs a kernel: threads that are at the same instruction go on together, those that are behind go first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .instructions import execute
from .machine import Machine
from .memory import Global, KernelError
from .parse import Instruction, Kernel

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
    pointers = [argument for argument in arguments if isinstance(argument, Pointer)]
    tables = [pointer(table) for table in kernel.constants.values()]
    memory = Global((each.address, each.size) for each in (*pointers, *tables))
    values = [memory.address(each.address) if isinstance(each, Pointer) else each for each in arguments]
    values += [0] * (len(kernel.parameters) - len(values))
    parameters = {name: value for (_, name), value in zip(kernel.parameters, values, strict=True)}
    step = max(_LANES // kernel.threads, 1)
    with np.errstate(all="ignore"):
        for first in range(0, grid, step):
            blocks = range(first, min(first + step, grid))
            _Blocks(Machine(kernel, grid, blocks, parameters, memory, shared)).run(endless)
    memory.write_back()


class _Blocks:
    """Where every thread of some blocks stands."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.kernel = machine, machine.kernel
        self.alive = machine.everyone
        self.at: dict[int, np.ndarray] = {0: machine.everyone}  # instruction -> the lanes that come to it next
        self.waiting: dict[int, np.ndarray] = {}  # the same of those that wait at the barrier before it

    def run(self, endless: int) -> None:
        steps = 0
        while self.at or self.waiting:
            if not self.at:
                self._pass_barrier()
            place = min(self.at)
            mask = self.at.pop(place)
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
                if mask is not None and place in self.at:
                    mask = self._go(place, mask)

    def _step(self, instruction: Instruction, following: int, mask: np.ndarray) -> np.ndarray | None:
        """Execute one instruction; the lanes that go on to the following one, None if they were sent elsewhere."""
        allowed = self.machine.predicate(instruction, mask)
        if instruction.opcode == "bra":
            self._go(following, mask & ~allowed)
            return self._go(self.kernel.labels[instruction.operands[0]], allowed)
        if instruction.opcode == "brx":
            return self._branch_by_index(instruction, allowed)
        if instruction.opcode in ("ret", "exit"):
            self.alive = self.alive & ~allowed
            return self._go(following, mask & ~allowed)
        if instruction.opcode in ("bar", "barrier") and "warp" not in instruction.modifiers:
            self._wait(instruction, following, allowed)
            return self._go(following, mask & ~allowed)
        if allowed.any():
            execute(self.machine, instruction, allowed)
        return mask

    def _go(self, place: int, mask: np.ndarray) -> None:
        if mask.any():
            mask = mask | self.at[place] if place in self.at else mask
            self.at[place] = self.machine.everyone if mask.all() else mask

    def _branch_by_index(self, instruction: Instruction, mask: np.ndarray) -> None:
        index = self.machine.read(instruction.operands[0], "u32")
        targets = self.kernel.targets[instruction.operands[1]]
        if (index[mask] >= len(targets)).any():
            raise KernelError(f"a branch beyond the last of its {len(targets)} targets")
        for i, name in enumerate(targets):
            self._go(self.kernel.labels[name], mask & (index == i))

    def _wait(self, instruction: Instruction, following: int, mask: np.ndarray) -> None:
        """Barrier 0 of all threads; a divergent one is found when nobody else can go on."""
        if instruction.modifiers[0] != "sync" or instruction.operands != ("0",):
            raise KernelError(f"a barrier of its own kind: {instruction}")
        self.waiting[following] = self.waiting.get(following, np.zeros_like(mask)) | mask

    def _pass_barrier(self) -> None:
        """All that live wait: a block goes on where its threads wait at the same barrier."""
        everyone = sum(self.waiting.values())
        assert np.array_equal(everyone, self.alive)
        for place, mask in self.waiting.items():
            by_block = mask.reshape(-1, self.kernel.threads), self.alive.reshape(-1, self.kernel.threads)
            apart = by_block[0].any(1) & (by_block[0] != by_block[1]).any(1)
            if apart.any():
                raise KernelError(
                    f"{self.kernel.name}: threads of one block wait at different barriers "
                    f"[{self.kernel.instructions[place - 1]}]"
                )
        self.machine.barriers = self.machine.barriers + everyone
        self.at, self.waiting = self.waiting, {}
        for place, mask in self.at.items():
            self.at[place] = self.machine.everyone if mask.all() else mask
