# SPDX-License-Identifier: Apache-2.0
"""Files that arrive in a folder."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dssm.errors import InputError


class Stamp(NamedTuple):
    """What differs when a file has changed."""

    modified: int  # nanoseconds since 1970, UTC
    bytes: int

    @classmethod
    def of(cls, path: str | Path) -> Stamp:
        """Raises OSError for what is no file."""
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(path)
        return cls(status.st_mtime_ns, status.st_size)

    @classmethod
    def parse(cls, modified: str, size: str) -> Stamp:
        """The inverse of `text`. Raises ValueError."""
        return cls(int(np.datetime64(modified, "ns").astype(np.int64)), int(size))

    def text(self) -> tuple[str, str]:
        """Time (UTC, ISO 8601, to the nanosecond) and size."""
        return str(np.datetime64(self.modified, "ns")), str(self.bytes)


@dataclass(frozen=True)
class File:
    """A file as it was found."""

    path: Path
    stamp: Stamp
    quiet: float  # seconds for which it is known not to have changed

    def unchanged(self) -> bool:
        """Whether it is still what was found."""
        with suppress(OSError):
            return Stamp.of(self.path) == self.stamp
        return False


class Watch:
    """Finds each file below a folder once it is whole, also those that lay there before; hidden ones are passed over.

    A file is whole when two looks in a row find the same stamp. One that changes after it was taken is a new one.
    """

    def __init__(self, folder: Path, taken: dict[str, Stamp]) -> None:
        self.folder = folder
        self._taken = taken
        self._seen: dict[str, tuple[Stamp, float]] = {}  # by the last look, and since when

    def look(self) -> list[File]:
        """The whole files that were not taken, the oldest first. Raises InputError when the folder cannot be read."""
        now = time.monotonic()
        before, self._seen = self._seen, {}
        found = []
        for path, stamp in self._files():
            if self._taken.get(path) == stamp:
                continue
            earlier = before.get(path)
            if earlier is not None and earlier[0] == stamp:
                found.append(File(Path(path), stamp, now - earlier[1]))
                self._seen[path] = earlier
            else:
                self._seen[path] = stamp, now
        return sorted(found, key=lambda file: (file.stamp.modified, file.path))

    def take(self, file: File) -> None:
        """Do not find the file again."""
        self._taken[str(file.path)] = file.stamp

    def _files(self) -> Iterator[tuple[str, Stamp]]:
        def stop(error: OSError) -> None:
            if error.filename == str(self.folder):
                raise InputError(f"cannot read the folder {self.folder}: {error.strerror}") from error

        for parent, folders, names in os.walk(self.folder, onerror=stop):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for path in (os.path.join(parent, name) for name in names if not name.startswith(".")):
                with suppress(OSError):  # gone again
                    yield path, Stamp.of(path)
