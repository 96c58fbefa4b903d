# SPDX-License-Identifier: Apache-2.0
"""Mistakes planted in kernels. Each is declared once: tests plant it and look whether the check that it names notices.

Every declaration has a `name`, the mistake in words; `where`, what is changed; and `caught`, what the check says of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Edit:
    """Every `old` in a source file becomes `new`."""

    name: str
    file: str  # from the root of the checkout
    old: str
    new: str
    caught: str

    @property
    def where(self) -> str:
        return f"`{self.file}`: `{self.old}` becomes `{self.new}`" if self.new else f"`{self.file}`: no `{self.old}`"

    def plant(self, root: Path) -> None:
        """In a copy of the sources that lies in `root`."""
        path = root / self.file
        path.write_text(self.edited(path.read_text()))

    def edited(self, source: str) -> str:
        assert self.old in source, f"{self.file} has changed: it holds no {self.old!r}"
        return source.replace(self.old, self.new)
