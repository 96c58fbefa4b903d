# SPDX-License-Identifier: Apache-2.0
"""The memory that a guarded launch may touch, and what is known of each unit of it: who wrote and read it, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

NOBODY, MANY = -1, -2  # beside the numbers of programs and lanes
_UNWRITTEN = 0xFF  # a NaN in every dtype of floats


@dataclass
class Fresh:
    """Memory of torch.empty: which bytes kernels wrote since. torch counts what it writes itself in `version`."""

    version: int
    defined: np.ndarray


FreshStorages = WeakKeyDictionary[torch.UntypedStorage, Fresh]


class Memory:
    """One storage that a launch may touch; what is known of it is kept per unit, its smallest element."""

    def __init__(self, storage: torch.UntypedStorage, tensors: list[Tensor], fresh: Fresh | None) -> None:
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
        # When, and by which lane, it was last stored to and loaded from; the launch counts its moments.
        self.stored, self.loaded = (np.full(self.units, NOBODY, np.int32) for _ in range(2))
        self.stored_lane, self.loaded_lane = (np.full(self.units, NOBODY, np.int64) for _ in range(2))
        self.defined = self._fresh.defined[:: self.unit][: self.units].copy() if self._fresh else None

    def remember(self) -> None:
        """What is written now stays so for later launches."""
        if self._fresh and self.defined is not None:
            self._fresh.defined[: self.units * self.unit] = self.defined.repeat(self.unit)


def mark(tensor: Tensor, fresh: FreshStorages) -> None:
    """Fill what was allocated with NaN, and remember that nobody wrote it."""
    memory = _bytes(tensor.untyped_storage())
    memory.fill(1 if tensor.dtype == torch.bool else _UNWRITTEN)
    fresh[tensor.untyped_storage()] = Fresh(tensor._version, np.zeros(len(memory), bool))


def touchable(tensors: list[Tensor], fresh: FreshStorages) -> list[Memory]:
    """The storages of the tensors, in the order of their addresses."""
    shared: dict[int, list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        if tensor.numel():
            shared[tensor.untyped_storage().data_ptr()].append(tensor)
    storages = {address: tensors[0].untyped_storage() for address, tensors in sorted(shared.items())}
    return [Memory(storage, shared[address], fresh.get(storage)) for address, storage in storages.items()]


def tensors_of(values: Any) -> Iterator[Tensor]:
    """The tensors among arguments of a kernel, in tuples and behind descriptors too."""
    for value in values:
        if isinstance(value, tuple):
            yield from tensors_of(value)
        elif isinstance(value := getattr(value, "base", value), Tensor):
            yield value


def _units(tensor: Tensor, unit: int) -> np.ndarray:
    """The places of a tensor's elements in its storage, counted in units."""
    places = np.array([tensor.storage_offset()])
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        if stride:  # an expanded axis adds none
            places = (places[:, None] + np.arange(size) * stride).ravel()
    wide = tensor.element_size() // unit
    return (places[:, None] * wide + np.arange(wide)).ravel()


def _bytes(storage: torch.UntypedStorage) -> np.ndarray:
    """A storage's memory."""
    return torch.tensor((), dtype=torch.uint8).set_(storage).numpy()
