# SPDX-License-Identifier: Apache-2.0
"""A table that grows a whole line at a time, and that a stop at any moment leaves readable."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dssm.errors import InputError

try:
    import fcntl
except ImportError:  # Windows, where nothing keeps two programs from writing one table
    fcntl = None  # type: ignore[assignment]


class Results:
    """A CSV file with a header that lines are appended to; those of an earlier run stay.

    The rest of a line that was cut, by a power failure or a full disk, is removed. Raises InputError when the file
    cannot be written, has another header, or is being written by another program.
    """

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self.path = path
        self.header = list(header)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115, closed by __exit__
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}") from error
        try:
            self._lock()
            self._end = self._cut()
            if self._end == 0:
                self.append(header)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def rows(self) -> Iterator[dict[str, str]]:
        """The lines that are there, below the header."""
        for row, _ in self._read():
            if row != self.header:
                yield dict(zip(self.header, row, strict=True))

    def append(self, row: Sequence[object]) -> None:
        """Write a line through to the disk. Raises InputError, leaving the lines before it whole, when that is full."""
        text = io.StringIO()
        csv.writer(text).writerow(row)
        line = text.getvalue().encode("utf-8", "surrogateescape")
        left = line
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            os.truncate(self._file.fileno(), self._end)
            raise InputError(f"cannot write {self.path}: {error.strerror}") from error
        self._end += len(line)

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{self.path} is being written by another program; choose another folder") from error

    def _cut(self) -> int:
        """Where the last whole line ends, and now the file."""
        end = 0
        for row, position in self._read():
            if end == 0 and row != self.header:
                break
            end = position
        if end == 0 and self.path.stat().st_size:
            raise InputError(
                f"{self.path} is not a table of these columns: {','.join(self.header)}; choose another folder"
            )
        os.truncate(self._file.fileno(), end)
        return end

    def _read(self) -> Iterator[tuple[list[str], int]]:
        """Every whole row, and where it ends in the file."""
        end, line = 0, b""

        def lines() -> Iterator[str]:
            nonlocal end, line
            for line in file:
                end += len(line)
                yield line.decode("utf-8", "surrogateescape")

        with open(self.path, "rb") as file:
            for row in csv.reader(lines()):
                if line.endswith(b"\n") and len(row) == len(self.header):
                    yield row, end
