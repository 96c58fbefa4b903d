# SPDX-License-Identifier: Apache-2.0
"""The memories of a GPU: every access is checked for bounds, alignment, contents and races."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_GUARD = 1 << 16  # bytes between two tensors, which no thread may touch
_BASE = 1 << 46  # far from zero, so that a pointer cut to 32 bits is noticed


class KernelError(Exception):
    """The kernel does something that it must not do; the message says which thread, where and what."""


@dataclass
class Lanes:
    """The threads that execute an instruction, and how many barriers each has passed."""

    ids: np.ndarray  # (N,), numbered through the whole grid
    threads: int  # of a block
    barriers: np.ndarray  # (N,), of the block
    warp_barriers: np.ndarray  # (N,), those of the warp added

    def name(self, index: int) -> str:
        block, thread = divmod(int(self.ids[index]), self.threads)
        return f"thread {thread} of block {block}"


class Memory:
    """A flat array of bytes; how a thread's address becomes a place in it is for each kind to say."""

    kind: str

    def __init__(self, size: int, *, initialised: bool, races: bool) -> None:
        self.data = np.zeros(-(-size // 16) * 16, np.uint8)
        self.initialised = None if initialised else np.zeros(size, bool)
        self.accesses = Accesses(size, lenient=self.kind == "global") if races else None

    def place(self, addresses: np.ndarray, size: int, lanes: Lanes) -> np.ndarray:
        """(N,) places of the first byte. Raises KernelError where one of `size` bytes is out of bounds."""
        raise NotImplementedError

    def load(self, addresses: np.ndarray, width: int, count: int, lanes: Lanes, ordered: bool = False) -> np.ndarray:
        """(N, count) unsigned integers of `width` bytes; `ordered` accesses (volatile, atomic) do not race."""
        places = self._checked(addresses, width * count, lanes)
        touched = places[:, None] + np.arange(width * count)
        self._check_initialised(touched, lanes)
        if self.accesses and not ordered:
            self.accesses.read(touched, lanes, self.kind)
        return self._view(width)[places[:, None] // width + np.arange(count)]

    def store(self, addresses: np.ndarray, values: np.ndarray, lanes: Lanes, ordered: bool = False) -> None:
        """Store (N, count) unsigned integers."""
        width, count = values.dtype.itemsize, values.shape[1]
        places = self._checked(addresses, width * count, lanes)
        touched = places[:, None] + np.arange(width * count)
        view, targets = self._view(width), places[:, None] // width + np.arange(count)
        changed = view[targets] != values
        view[targets] = values
        lost = (view[targets] != values).any(1)
        if lost.any() and not ordered:
            raise KernelError(f"{lanes.name(lost.argmax())} and another store different values in {self.kind} memory")
        if self.initialised is not None:
            self.initialised[touched] = True
        if self.accesses and not ordered:
            self.accesses.write(touched, changed.repeat(width, 1), lanes, self.kind)

    def forget(self, addresses: np.ndarray, size: int, lanes: Lanes) -> None:
        """What lies there is on its way and must not be read yet."""
        assert self.initialised is not None
        self.initialised[self._checked(addresses, size, lanes)[:, None] + np.arange(size)] = False

    def update(self, addresses: np.ndarray, operands: list[np.ndarray], function: np.ufunc, lanes: Lanes) -> np.ndarray:
        """(N,) old values of `new = function(old, *operands)`, one thread after the other."""
        places = self._checked(addresses, operands[0].dtype.itemsize, lanes)
        touched = places[:, None] + np.arange(operands[0].dtype.itemsize)
        self._check_initialised(touched, lanes)
        if self.accesses:
            self.accesses.update(touched, lanes, self.kind)
        targets = places // operands[0].dtype.itemsize
        view = self.data.view(operands[0].dtype)
        old, waiting = np.empty_like(operands[0]), np.arange(len(places))
        while len(waiting):  # one round for the first thread of every place, one for the second...
            _, first = np.unique(targets[waiting], return_index=True)
            turn = waiting[first]
            old[turn] = view[targets[turn]]
            view[targets[turn]] = function(old[turn], *(operand[turn] for operand in operands))
            waiting = np.delete(waiting, first)
        return old

    def _view(self, width: int) -> np.ndarray:
        return self.data.view(f"u{width}")

    def _checked(self, addresses: np.ndarray, size: int, lanes: Lanes) -> np.ndarray:
        wrong = addresses % size != 0
        if wrong.any():
            raise KernelError(f"{lanes.name(wrong.argmax())}: {size} bytes of {self.kind} memory at an odd address")
        return self.place(addresses, size, lanes)

    def _check_initialised(self, touched: np.ndarray, lanes: Lanes) -> None:
        if self.initialised is not None:
            unknown = ~self.initialised[touched].all(1)
            if unknown.any():
                raise KernelError(f"{lanes.name(unknown.argmax())} reads {self.kind} memory that nobody has written")


class Global(Memory):
    """The tensors of a launch, each between guards that nothing may touch."""

    kind = "global"

    def __init__(self, spans: Iterable[tuple[int, int]], *, races: bool) -> None:
        """`spans` are the (address, bytes) of this process's memory that pointers may reach; overlapping ones join."""
        self.tensors: list[np.ndarray] = []
        self.offsets: list[int] = []
        end = _GUARD
        for start, stop in _joined(spans):
            self.tensors.append(np.ctypeslib.as_array((ctypes.c_uint8 * (stop - start)).from_address(start)))
            self.offsets.append(end + start % 256)  # as aligned as it is
            end = -(-(self.offsets[-1] + stop - start) // 256) * 256 + _GUARD
        super().__init__(end, initialised=True, races=races)
        self.allowed = np.zeros(end, bool)
        for tensor, offset in zip(self.tensors, self.offsets, strict=True):
            self.data[offset : offset + tensor.size] = tensor
            self.allowed[offset : offset + tensor.size] = True

    def address(self, real: int) -> int:
        """Where a kernel finds what this process has at an address."""
        for tensor, offset in zip(self.tensors, self.offsets, strict=True):
            if 0 <= real - tensor.ctypes.data < tensor.size:
                return _BASE + offset + real - tensor.ctypes.data
        return _BASE  # an empty tensor

    def place(self, addresses: np.ndarray, size: int, lanes: Lanes) -> np.ndarray:
        offsets = addresses - _BASE
        inside = (offsets >= 0) & (offsets <= len(self.allowed) - size)
        clipped = np.where(inside, offsets, 0)
        inside &= self.allowed[clipped] & self.allowed[clipped + size - 1]
        if not inside.all():
            wrong = int((~inside).argmax())
            raise KernelError(f"{lanes.name(wrong)}: {size} bytes of global memory {self._where(int(offsets[wrong]))}")
        return offsets

    @property
    def hazard(self) -> str:
        """What a thread might have read too late, "" if nothing."""
        return self.accesses.hazard if self.accesses else ""

    def write_back(self) -> None:
        """Results into the memory of this process."""
        for tensor, offset in zip(self.tensors, self.offsets, strict=True):
            tensor[:] = self.data[offset : offset + tensor.size]

    def _where(self, offset: int) -> str:
        for number, (start, tensor) in enumerate(zip(self.offsets, self.tensors, strict=True)):
            if -_GUARD // 2 <= offset - start < tensor.size + _GUARD // 2:
                return f"at byte {offset - start} of the {tensor.size} bytes of tensor {number}"
        return "outside of every tensor"


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """(start, stop) of the spans in order, those that overlap as one."""
    joined: list[tuple[int, int]] = []
    for start, size in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], start + size)
        elif size:
            joined.append((start, start + size))
    return joined


class Own(Memory):
    """A piece of the same size for every owner, addressed from 0: a block's shared or a thread's local memory."""

    def __init__(self, kind: str, size: int, owners: int, first: int, *, races: bool) -> None:
        self.kind, self.size, self.first = kind, size, first
        self.stride = -(-size // 16) * 16
        super().__init__(self.stride * owners, initialised=False, races=races)

    def place(self, addresses: np.ndarray, size: int, lanes: Lanes) -> np.ndarray:
        wrong = (addresses < 0) | (addresses > self.size - size)
        if wrong.any():
            index = int(wrong.argmax())
            raise KernelError(
                f"{lanes.name(index)}: {size} bytes at {addresses[index]} of {self.size} bytes of {self.kind} memory"
            )
        owner = lanes.ids // lanes.threads if self.kind == "shared" else lanes.ids
        return addresses + (owner - self.first) * self.stride


class Accesses:
    """Who touched every byte last, and when: two threads, one of which writes, need a barrier between them.

    Atomic and volatile accesses are taken to be meant: they race with nothing. Where a thread stores what another of
    its block has read, the other might read too late: with `lenient` that is no error, but noted as a hazard.
    """

    _NOBODY, _SEVERAL_BLOCKS = 0, -(1 << 62)

    def __init__(self, size: int, lenient: bool) -> None:
        self.lenient, self.hazard = lenient, ""
        # A thread is its number + 1, several threads of a block are -1 - block.
        self.writer, self.reader = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self.written, self.seen = np.zeros((size, 2), np.int32), np.zeros((size, 2), np.int32)  # barriers passed

    def read(self, touched: np.ndarray, lanes: Lanes, kind: str) -> None:
        self._check_writer(touched, lanes, kind)
        before = self.reader[touched]
        free = (before == self._NOBODY) | self._ordered(before, self.seen[touched], lanes)
        ids, blocks = lanes.ids[:, None] + 1, -1 - lanes.ids[:, None] // lanes.threads
        same_block = np.where(before > 0, -1 - (before - 1) // lanes.threads, before) == blocks
        after = np.where(free, ids, np.where(same_block, blocks, self._SEVERAL_BLOCKS))
        self.reader[touched] = after
        self.seen[touched] = self._now(lanes)
        # Of the threads that read a byte in this instruction one has won: the others are remembered by the block.
        beaten = self.reader[touched] != after
        if beaten.any():
            winner = self.reader[touched]
            same = np.where(winner > 0, -1 - (winner - 1) // lanes.threads, winner) == blocks
            self.reader[touched[beaten]] = np.where(same, blocks, self._SEVERAL_BLOCKS)[beaten]

    def write(self, touched: np.ndarray, changed: np.ndarray, lanes: Lanes, kind: str) -> None:
        """Storing the value that is there already races with another store of it no more than reading does."""
        for name, who, when in (("written", self.writer, self.written), ("read", self.reader, self.seen)):
            before = who[touched]
            racing = changed & (before != self._NOBODY) & ~self._ordered(before, when[touched], lanes)
            if racing.any():
                race = self._race(f"stores what {{}} has {name}", before, racing, lanes, kind)
                if not (name == "read" and self.lenient and self._within_blocks(before[racing], lanes, racing)):
                    raise KernelError(race)
                self.hazard = self.hazard or race
        self.writer[touched] = lanes.ids[:, None] + 1
        self.written[touched] = self._now(lanes)

    def update(self, touched: np.ndarray, lanes: Lanes, kind: str) -> None:
        self._check_writer(touched, lanes, kind)
        self.writer[touched] = self._NOBODY

    def _check_writer(self, touched: np.ndarray, lanes: Lanes, kind: str) -> None:
        before = self.writer[touched]
        racing = (before != self._NOBODY) & ~self._ordered(before, self.written[touched], lanes)
        if racing.any():
            raise KernelError(self._race("reads what {} has written", before, racing, lanes, kind))

    @staticmethod
    def _now(lanes: Lanes) -> np.ndarray:
        return np.stack([lanes.barriers, lanes.warp_barriers], 1)[:, None]

    def _ordered(self, before: np.ndarray, when: np.ndarray, lanes: Lanes) -> np.ndarray:
        """Whether the earlier access is this thread's own, or a barrier of its block or warp lies between."""
        ids, blocks = lanes.ids[:, None], lanes.ids[:, None] // lanes.threads
        one = before > 0
        other = before - 1
        block = np.where(one, other // lanes.threads, -1 - before)
        barrier = (block == blocks) & (when[..., 0] < lanes.barriers[:, None])
        warp = one & (other // 32 == ids // 32) & (when[..., 1] < lanes.warp_barriers[:, None])
        return (one & (other == ids)) | barrier | warp

    @staticmethod
    def _within_blocks(before: np.ndarray, lanes: Lanes, racing: np.ndarray) -> bool:
        blocks = np.broadcast_to(lanes.ids[:, None] // lanes.threads, racing.shape)[racing]
        return bool((np.where(before > 0, (before - 1) // lanes.threads, -1 - before) == blocks).all())

    @staticmethod
    def _race(text: str, before: np.ndarray, racing: np.ndarray, lanes: Lanes, kind: str) -> str:
        index, byte = np.unravel_index(racing.argmax(), racing.shape)
        other = int(before[index, byte])
        if other > 0:
            block, thread = divmod(other - 1, lanes.threads)
            who = f"thread {thread} of block {block}"
        else:
            who = "one of several threads"
        return f"race in {kind} memory: {lanes.name(index)} {text.format(who)}, and no barrier lies between"
