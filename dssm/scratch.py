# SPDX-License-Identifier: Apache-2.0
"""What memory need not hold: arrays in temporary files that have no name and vanish with the process.

They lie in the system's folder for such files; the environment variable TMPDIR names another one.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from typing import IO, TypeVar, overload

import numpy as np

from dssm.errors import InputError

T = TypeVar("T")


class Lazy(Sequence[T]):
    """A sequence that makes each item when it is asked for, a new one every time."""

    def item(self, index: int) -> T:
        """Item `index`; raises IndexError behind the last."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self.item(i) for i in range(*index.indices(len(self)))]
        return self.item(index)


class Spool(Lazy[np.ndarray]):
    """Arrays of any shapes and types in a file.

    Raises InputError when the disk is full.
    """

    def __init__(self, arrays: Iterable[np.ndarray] = ()) -> None:
        self._file = _temporary()
        weakref.finalize(self, self._file.close)
        self._places: list[tuple[int, tuple[int, ...], np.dtype]] = []
        for array in arrays:
            self.append(array)

    def append(self, array: np.ndarray) -> None:
        """Write one more array."""
        place = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(np.ascontiguousarray(array).data)
            self._file.flush()  # a full disk shows here
        except OSError as error:
            raise _full(array.nbytes) from error
        self._places.append((place, array.shape, array.dtype))

    def __len__(self) -> int:
        return len(self._places)

    def item(self, index: int) -> np.ndarray:
        place, shape, dtype = self._places[index]
        self._file.seek(place)
        return np.fromfile(self._file, dtype, math.prod(shape)).reshape(shape)


def mapped(shape: tuple[int, ...]) -> np.ndarray:
    """A uint8 array in a file, which the system pages in and out.

    Raises InputError when the disk has no room for it: a page that cannot be written later would end the process.
    """
    needed = math.prod(shape)
    if needed > shutil.disk_usage(tempfile.gettempdir()).free:
        raise _full(needed)
    with _temporary() as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, needed)
        except OSError as error:
            raise _full(needed) from error
        return np.memmap(file, np.uint8, "w+", shape=shape)


def _temporary() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="dssm-")


def _full(needed: int) -> InputError:
    return InputError(
        f"cannot write {needed / 2**20:.0f} MiB to {tempfile.gettempdir()}; make room there, or set TMPDIR to a folder "
        "on a larger disk"
    )
