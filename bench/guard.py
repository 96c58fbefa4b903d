# SPDX-License-Identifier: Apache-2.0
"""Triton's interpreter under guard: every access of every lane of a launch is checked against what a GPU forbids.

    TRITON_INTERPRET=1 python -m pytest tests/ops --backend triton --guard

Needs no GPU. It sees indices, races and the order of programs; not layouts, and not the code that a compiler makes.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from triton.runtime.errors import InterpreterError
from triton.runtime.interpreter import GridExecutor, InterpreterBuilder

ORDERS = ("forward", "reversed", "shuffled")
NOBODY, MANY = -1, -2
# Kernels that may leave other bytes in other orders, and why that is right; they run in one order, another each time.
UNORDERED = {"_component_unite_fwd_kernel": "its trees hold the same pixels, however they are grown"}
UNWRITTEN = 0xFF  # a NaN in every dtype of floats


class GuardError(AssertionError):
    """What a guarded launch does that it must not; `check` is one word for what saw it."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"{check}: {message}")
        self.check = check


@dataclass
class Traffic:
    """What the active lanes of a kernel moved, in bytes, over all launches."""

    launches: int = 0
    programs: int = 0
    loaded: int = 0
    stored: int = 0
    atomic: int = 0


class Guard:
    """The checks, in force inside `watching`.

    bounds         a lane outside the elements of the launch's tensors, or not aligned to its own size
    uninitialised  a value read that nobody wrote since torch.empty
    other          a masked load that leaves the lanes outside the mask to chance
    race           two programs, one of them writing, at one address without atomics
    barrier        two lanes of a program, one of them writing, at one address with no tl.debug_barrier() between
    duplicate      lanes of one store that write different values to one address
    order          results that depend on the order in which programs run: forward, reversed, shuffled

    A kernel is launched with arguments of the same shapes and constants hundreds of times where a test differentiates
    numerically: of those the first, second, fourth, eighth and so on are guarded.
    """

    def __init__(self, owner: str = "dssm.kernels", orders: tuple[str, ...] = ORDERS) -> None:
        self.owner = owner  # only what this package allocates is written by kernels alone
        self.orders = orders
        self._launches: Counter = Counter()
        self.traffic: dict[str, Traffic] = defaultdict(Traffic)
        self._fresh: WeakKeyDictionary[torch.UntypedStorage, _Fresh] = WeakKeyDictionary()
        self._launch: _Launch | None = None

    @contextmanager
    def watching(self) -> Iterator[Guard]:
        """Check every launch inside; the first mistake raises `GuardError`."""
        with ExitStack() as stack:
            for name in ("empty", "empty_like", "empty_strided"):
                stack.enter_context(patch.object(torch, name, self._marked(getattr(torch, name))))
            stack.enter_context(patch.object(Tensor, "new_empty", self._marked(Tensor.new_empty)))
            stack.enter_context(patch.object(GridExecutor, "__call__", self._in_every_order(GridExecutor.__call__)))
            for name, hook in (
                ("set_grid_dim", self._on_grid),
                ("set_grid_idx", self._on_program),
                ("create_masked_load", self._on_load),
                ("create_masked_store", self._on_store),
                ("create_atomic_rmw", self._on_atomic),
                ("create_atomic_cas", self._on_exchange),
                ("create_barrier", self._on_barrier),
            ):
                stack.enter_context(patch.object(InterpreterBuilder, name, hook(getattr(InterpreterBuilder, name))))
            yield self

    def _marked(self, allocate: Callable) -> Callable:
        """The allocation, which also fills what the owner gets with NaN and remembers that nobody wrote it."""

        def marked(*arguments: Any, **options: Any) -> Tensor:
            tensor = allocate(*arguments, **options)
            ours = sys._getframe(1).f_globals["__name__"].startswith(self.owner)
            if ours and type(tensor) is Tensor and tensor.numel() and not tensor.is_inference():
                memory = _bytes(tensor.untyped_storage())
                memory.fill(1 if tensor.dtype == torch.bool else UNWRITTEN)
                self._fresh[tensor.untyped_storage()] = _Fresh(tensor._version, np.zeros(len(memory), bool))
            return tensor

        return marked

    def _in_every_order(self, run: Callable) -> Callable:
        """Three runs from the same memory, fewer where fewer programs have fewer orders; all must leave the same."""

        def guarded(executor: Any, *arguments: Any, **options: Any) -> None:
            kind = (executor.fn, *(_kind(value) for value in (*arguments, *options.values())))
            self._launches[kind] += 1
            seen = self._launches[kind]
            tensors = list(_tensors((*arguments, *options.values())))
            if seen & (seen - 1) and len(self.orders) > 1:
                for tensor in tensors:
                    self._fresh.pop(tensor.untyped_storage(), None)  # nobody sees which of it is written
                run(executor, *arguments, **options)
                return
            memories = _memories(tensors, self._fresh)
            before = [memory.bytes.copy() for memory in memories]
            name = executor.fn.__name__
            orders = (ORDERS[seen.bit_length() % len(ORDERS)],) if name in UNORDERED else self.orders
            for order in orders:
                for memory, value in zip(memories, before, strict=True):
                    memory.reset(value)
                self._launch = launch = _Launch(name, memories, order)
                try:
                    run(executor, *arguments, **options)
                except InterpreterError as error:
                    if isinstance(error.__cause__, GuardError):
                        raise error.__cause__ from None
                    raise
                finally:
                    self._launch = None
                if order == orders[0]:
                    self._count(name, launch)
                    first = [memory.bytes.copy() for memory in memories]
                elif not all(np.array_equal(m.bytes, value) for m, value in zip(memories, first, strict=True)):
                    raise GuardError("order", f"{name} leaves other bytes when its programs run {order}")
                if launch.programs == (1 if order == "forward" else 2):
                    break
            for memory in memories:
                memory.remember()

        return guarded

    def _count(self, name: str, launch: _Launch) -> None:
        traffic = self.traffic[name]
        traffic.launches += 1
        traffic.programs += launch.programs
        traffic.loaded += launch.moved["load"]
        traffic.stored += launch.moved["store"]
        traffic.atomic += launch.moved["atomic"]

    def _on_grid(self, original: Callable) -> Callable:
        def set_grid_dim(builder: Any, *size: int) -> None:
            if self._launch:
                self._launch.plan(size)
            original(builder, *size)

        return set_grid_dim

    def _on_program(self, original: Callable) -> Callable:
        def set_grid_idx(builder: Any, *index: int) -> None:
            original(builder, *(self._launch.begin(index) if self._launch else index))

        return set_grid_idx

    def _on_load(self, original: Callable) -> Callable:
        def create_masked_load(builder: Any, pointers: Any, mask: Any, other: Any, *rest: Any) -> Any:
            if self._launch:
                if other is None and not mask.data.all():
                    raise self._launch.error("other", "a masked load without `other` has lanes outside its mask")
                self._launch.load(pointers.data, mask.data, _size(pointers))
            return original(builder, pointers, mask, other, *rest)

        return create_masked_load

    def _on_store(self, original: Callable) -> Callable:
        def create_masked_store(builder: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
            if self._launch:
                self._launch.store(pointers.data, value.data, mask.data, _size(pointers))
            return original(builder, pointers, value, mask, *rest)

        return create_masked_store

    def _on_atomic(self, original: Callable) -> Callable:
        def create_atomic_rmw(builder: Any, kind: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
            if self._launch:
                self._launch.atomic(pointers.data, mask.data, _size(pointers))
            return original(builder, kind, pointers, value, mask, *rest)

        return create_atomic_rmw

    def _on_exchange(self, original: Callable) -> Callable:
        def create_atomic_cas(builder: Any, pointers: Any, *rest: Any) -> Any:
            if self._launch:
                self._launch.atomic(pointers.data, np.ones(pointers.data.shape, bool), _size(pointers))
            return original(builder, pointers, *rest)

        return create_atomic_cas

    def _on_barrier(self, original: Callable) -> Callable:
        def create_barrier(builder: Any) -> Any:
            if self._launch:
                self._launch.moment += 1
            return original(builder)

        return create_barrier


@dataclass
class _Fresh:
    """Memory of torch.empty: which bytes kernels wrote since. torch counts what it writes itself in `version`."""

    version: int
    defined: np.ndarray


class _Memory:
    """One storage that a launch may touch; what is known of it is kept per unit, its smallest element."""

    def __init__(self, storage: torch.UntypedStorage, tensors: list[Tensor], fresh: _Fresh | None) -> None:
        self.bytes = _bytes(storage)
        self.begin = storage.data_ptr()
        self.unit = min(tensor.element_size() for tensor in tensors)
        self.units = len(self.bytes) // self.unit
        self.inside = np.zeros(self.units, bool)
        for tensor in tensors:
            self.inside[_units(tensor, self.unit)] = True
        untouched = fresh and all(tensor._version == fresh.version for tensor in tensors if not tensor.is_inference())
        self._fresh = fresh if untouched else None

    def reset(self, value: np.ndarray) -> None:
        """Back to this value, touched by nobody."""
        self.bytes[:] = value
        # Programs, NOBODY or MANY.
        self.writer, self.reader, self.changer = (np.full(self.units, NOBODY, np.int32) for _ in range(3))
        # When, and by which lane, it was last stored to and loaded from; see _Launch.moment.
        self.stored, self.loaded = (np.full(self.units, NOBODY, np.int32) for _ in range(2))
        self.stored_lane, self.loaded_lane = (np.full(self.units, NOBODY, np.int64) for _ in range(2))
        self.defined = self._fresh.defined[:: self.unit][: self.units].copy() if self._fresh else None

    def remember(self) -> None:
        """What is written now stays so for later launches."""
        if self._fresh and self.defined is not None:
            self._fresh.defined[: self.units * self.unit] = self.defined.repeat(self.unit)


class _Launch:
    """One run of all programs of a kernel, in some order."""

    def __init__(self, name: str, memories: list[_Memory], order: str) -> None:
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
    ) -> Iterator[tuple[_Memory, np.ndarray, np.ndarray, np.ndarray]]:
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


def _memories(tensors: list[Tensor], fresh: WeakKeyDictionary) -> list[_Memory]:
    """The storages of the tensors, in the order of their addresses."""
    shared: dict[int, list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        if tensor.numel():
            shared[tensor.untyped_storage().data_ptr()].append(tensor)
    storages = {address: tensors[0].untyped_storage() for address, tensors in sorted(shared.items())}
    return [_Memory(storage, shared[address], fresh.get(storage)) for address, storage in storages.items()]


def _units(tensor: Tensor, unit: int) -> np.ndarray:
    """The places of a tensor's elements in its storage, counted in units."""
    places = np.array([tensor.storage_offset()])
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        if stride:  # an expanded axis adds none
            places = (places[:, None] + np.arange(size) * stride).ravel()
    wide = tensor.element_size() // unit
    return (places[:, None] * wide + np.arange(wide)).ravel()


def _tensors(values: Any) -> Iterator[Tensor]:
    """The tensors among arguments of a kernel, in tuples and behind descriptors too."""
    for value in values:
        if isinstance(value, tuple):
            yield from _tensors(value)
        elif isinstance(value := getattr(value, "base", value), Tensor):
            yield value


def _kind(value: Any) -> Any:
    """What decides which lanes of a kernel are active, but for what its memory holds."""
    return (value.dtype, value.shape, value.stride()) if isinstance(value, Tensor) else repr(value)


def _bytes(storage: torch.UntypedStorage) -> np.ndarray:
    """A storage's memory."""
    return torch.tensor((), dtype=torch.uint8).set_(storage).numpy()


def _size(pointers: Any) -> int:
    """Bytes that a lane moves."""
    return max(pointers.get_element_ty().primitive_bitwidth // 8, 1)
