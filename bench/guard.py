# SPDX-License-Identifier: Apache-2.0
"""Triton's interpreter under guard: every access of every lane of a launch is checked against what a GPU forbids.

    TRITON_INTERPRET=1 python -m pytest tests/ops --backend triton --guard

Needs no GPU. It sees indices, races and the order of programs; not layouts, and not the code that a compiler makes.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from triton.runtime.errors import InterpreterError
from triton.runtime.interpreter import GridExecutor, InterpreterBuilder

from .guard_launch import ORDERS, GuardError, Launch
from .guard_memory import FreshStorages, mark, tensors_of, touchable

# Kernels that may leave other bytes in other orders, and why that is right; they run in one order, another each time.
UNORDERED = {"_component_unite_fwd_kernel": "its trees hold the same pixels, however they are grown"}


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
        self._fresh: FreshStorages = FreshStorages()
        self._launch: Launch | None = None

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
                mark(tensor, self._fresh)
            return tensor

        return marked

    def _in_every_order(self, run: Callable) -> Callable:
        """Three runs from the same memory, fewer where fewer programs have fewer orders; all must leave the same."""

        def guarded(executor: Any, *arguments: Any, **options: Any) -> None:
            kind = (executor.fn, *(_kind(value) for value in (*arguments, *options.values())))
            self._launches[kind] += 1
            seen = self._launches[kind]
            tensors = list(tensors_of((*arguments, *options.values())))
            if seen & (seen - 1) and len(self.orders) > 1:
                for tensor in tensors:
                    self._fresh.pop(tensor.untyped_storage(), None)  # nobody sees which of it is written
                run(executor, *arguments, **options)
                return
            memories = touchable(tensors, self._fresh)
            before = [memory.bytes.copy() for memory in memories]
            name = executor.fn.__name__
            orders = (ORDERS[seen.bit_length() % len(ORDERS)],) if name in UNORDERED else self.orders
            for order in orders:
                for memory, value in zip(memories, before, strict=True):
                    memory.reset(value)
                self._launch = launch = Launch(name, memories, order)
                try:
                    run(executor, *arguments, **options)
                except InterpreterError as error:
                    raise _found(error) from None
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

    def _count(self, name: str, launch: Launch) -> None:
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


def _found(error: BaseException) -> BaseException:
    """What the guard raised behind the interpreter's own errors, one per function that was left; else the first."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, GuardError):
        error, cause = cause, cause.__cause__
    return cause or error


def _kind(value: Any) -> Any:
    """What decides which lanes of a kernel are active, but for what its memory holds."""
    return (value.dtype, value.shape, value.stride()) if isinstance(value, Tensor) else repr(value)


def _size(pointers: Any) -> int:
    """Bytes that a lane moves."""
    return max(pointers.get_element_ty().primitive_bitwidth // 8, 1)
