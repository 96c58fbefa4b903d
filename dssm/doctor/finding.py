# SPDX-License-Identifier: Apache-2.0
"""What the doctor found, how bad it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Level = Literal["problem", "warning", "note"]
LEVELS: tuple[Level, ...] = ("problem", "warning", "note")


@dataclass(frozen=True)
class Mark:
    """One image that a finding is about, and what is odd about this one."""

    path: Path
    why: str


@dataclass(frozen=True)
class Finding:
    """A problem stops the training or spoils its figures, a warning is worth a look, a note is good to know."""

    level: Level
    about: str  # one word: size, exposure, copies ...
    what: str  # a sentence
    todo: str  # what to do, a sentence
    marks: tuple[Mark, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        marks = [{"file": str(mark.path), "why": mark.why} for mark in self.marks]
        return {"level": self.level, "about": self.about, "what": self.what, "todo": self.todo, "files": marks}


def number(count: int, noun: str) -> str:
    """`1 image`, `12,000 images`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def verb(count: int, one: str, more: str) -> str:
    """The form of a verb for so many."""
    return one if count == 1 else more
