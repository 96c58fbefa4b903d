# SPDX-License-Identifier: Apache-2.0
"""One run of all programs of a kernel in some order, and the checks of every access of its lanes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import numpy as np

from .guard_memory import MANY, NOBODY, Memory

ORDERS = ("forward", "reversed", "shuffled")


class GuardError(AssertionError):
    """What a guarded launch does that it must not; `check` is one word for what saw it."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"{check}: {message}")
        self.check = check


class Launch:
    """Numbers the programs as the order has them, and raises GuardError at the first access that a GPU forbids."""

    def __init__(self, name: str, memories: list[Memory], order: str) -> None:
        self.name, self.order = name, order
        self.memories = memories
        self.begins = np.array([memory.begin for memory in memories], np.int64)
        self.ends = np.array([memory.begin + len(memory.bytes) for memory in memories], np.int64)
        self.programs = self.program = 0
        self.moment = 0  # counts the stretches from one barrier of a program to its next, of all programs
        self.moved = {"load": 0, "store": 0, "atomic": 0}

    def error(self, check: str, message: str) -> GuardError:
        return GuardError(check, f"{self.name}, program {self.program}: {message}")

    def plan(self, size: tuple[int, ...]) -> None:
        """The grid, and the order of its programs."""
        self.size, self.programs = size, math.prod(size)
        self.sequence = list(range(self.programs))
        if self.order == "reversed":
            self.sequence.reverse()
        elif self.order == "shuffled":
            random.Random(self.programs).shuffle(self.sequence)

    def begin(self, index: tuple[int, ...]) -> tuple[int, ...]:
        """The program that this order has where the interpreter would run `index`."""
        self.moment += 1
        self.program = self.sequence[np.ravel_multi_index(index, self.size)]
        return tuple(int(i) for i in np.unravel_index(self.program, self.size))

    def load(self, pointers: np.ndarray, mask: np.ndarray, size: int) -> None:
        for memory, units, lanes, _ in self._accesses("load", pointers, mask, size):
            if memory.defined is not None and not memory.defined[units].all():
                raise self.error("uninitialised", "reads what nobody wrote since torch.empty")
            self._refuse(memory.writer[units], "reads what", "writes")
            if (memory.stored[units] == self.moment).any():
                raise self.error("barrier", "reads what it stored with no tl.debug_barrier() between")
            memory.reader[units] = _joined(memory.reader[units], self.program)
            again = memory.loaded[units] == self.moment
            same = ~again | (memory.loaded_lane[units] == lanes)
            memory.loaded[units], memory.loaded_lane[units] = self.moment, np.where(same, lanes, MANY)
            shared = (memory.loaded_lane[units] != lanes) & same  # by lanes of this very load
            memory.loaded_lane[units[shared]] = MANY

    def store(self, pointers: np.ndarray, value: np.ndarray, mask: np.ndarray, size: int) -> None:
        for memory, units, lanes, chosen in self._accesses("store", pointers, mask, size):
            self._refuse_different_values(units, lanes, np.broadcast_to(value, chosen.shape))
            self._refuse(memory.writer[units], "writes what", "writes")
            self._refuse(memory.reader[units], "writes what", "reads")
            self._refuse(memory.changer[units], "writes what", "changes atomically")
            overtaking = (memory.loaded[units] == self.moment) & (memory.loaded_lane[units] != lanes)
            overwriting = (memory.stored[units] == self.moment) & (memory.stored_lane[units] != lanes)
            if overtaking.any() or overwriting.any():
                raise self.error("barrier", "stores where another lane did, with no tl.debug_barrier() between")
            memory.writer[units], memory.stored[units], memory.stored_lane[units] = self.program, self.moment, lanes
            if memory.defined is not None:
                memory.defined[units] = True

    def atomic(self, pointers: np.ndarray, mask: np.ndarray, size: int) -> None:
        for memory, units, _, _ in self._accesses("atomic", pointers, mask, size):
            if memory.defined is not None and not memory.defined[units].all():
                raise self.error("uninitialised", "changes atomically what nobody wrote since torch.empty")
            self._refuse(memory.writer[units], "changes atomically what", "writes")
            if (memory.stored[units] == self.moment).any():
                raise self.error("barrier", "changes what it stored with no tl.debug_barrier() between")
            memory.changer[units] = _joined(memory.changer[units], self.program)

    def _accesses(
        self, kind: str, pointers: np.ndarray, mask: np.ndarray, size: int
    ) -> Iterator[tuple[Memory, np.ndarray, np.ndarray, np.ndarray]]:
        """Per storage that active lanes touch: its units, the lane of each, and the mask of all lanes."""
        pointers, mask = np.broadcast_arrays(pointers, mask)
        lanes = np.flatnonzero(mask)
        addresses = pointers.ravel()[lanes].astype(np.int64)
        self.moved[kind] += len(lanes) * size
        if not len(lanes):
            return
        which = np.searchsorted(self.begins, addresses, side="right") - 1
        if (which < 0).any() or (addresses + size > self.ends[which]).any():
            raise self.error("bounds", f"{kind} outside the memory of every argument")
        if (addresses % size).any():
            raise self.error("bounds", f"{kind} of {size} bytes at an address that is no multiple of {size}")
        for i in np.unique(which):
            memory, here = self.memories[i], which == i
            units = (addresses[here] - memory.begin) // memory.unit
            wide = max(size // memory.unit, 1)
            units = (units[:, None] + np.arange(wide)).ravel()
            if not memory.inside[units].all():
                raise self.error("bounds", f"{kind} between or beyond the elements of its tensor")
            yield memory, units, lanes[here].repeat(wide), mask

    def _refuse(self, programs: np.ndarray, doing: str, does: str) -> None:
        others = programs[(programs != NOBODY) & (programs != self.program)]
        if len(others):
            other = "more than one" if others[0] == MANY else others[0]
            raise self.error("race", f"{doing} program {other} {does}")

    def _refuse_different_values(self, units: np.ndarray, lanes: np.ndarray, value: np.ndarray) -> None:
        if (np.diff(units) > 0).all():
            return
        order = np.argsort(units, kind="stable")
        twice = units[order][1:] == units[order][:-1]
        bits = np.ascontiguousarray(value).ravel().view(f"u{value.itemsize}")[lanes[order]]
        if (bits[1:] != bits[:-1])[twice].any():
            raise self.error("duplicate", "lanes of one store write different values to one address")


def _joined(programs: np.ndarray, program: int) -> np.ndarray:
    """The program where nobody or itself was, MANY elsewhere."""
    return np.where((programs == NOBODY) | (programs == program), program, MANY)
