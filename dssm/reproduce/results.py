# SPDX-License-Identifier: Apache-2.0
"""Finished rows on disk: a JSON file per table, a line per row, data set and seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dssm import files
from dssm.errors import InputError
from dssm.reproduce.tables import TABLES, Table
from dssm.settings import Settings


@dataclass(frozen=True)
class Result:
    """What one training and its evaluation gave."""

    row: str
    data: str
    budget: str
    seed: int
    settings: dict[str, Any]  # those that differ from the defaults of `Settings`
    size: list[int]  # height and width that the network saw
    images: int  # good images that it was given
    metrics: dict[str, float | None]
    seconds: dict[str, float]  # training, evaluation; empty where they were not measured
    machine: dict[str, Any]
    versions: dict[str, str]
    date: str

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Of two results with the same key, the later one counts."""
        return self.row, self.data, self.budget, self.seed


class Results:
    """All results below a folder. A result counts wherever the same settings meet the same data.

    So a row that stands in two tables is trained once, and one whose settings have changed since has to be again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables = {name: _read(folder / f"{table.stem}.json") for name, table in TABLES.items()}
        self._settings: dict[str, Settings | None] = {}

    def of(self, settings: Settings, data: str) -> list[Result]:
        """The results of these settings on a data set, by seed; the seed of `settings` plays no part."""
        there = [result for results in self._tables.values() for result in results if result.data == data]
        if not there:
            return []
        settings = settings.replace(seed=0)
        found = {result.seed: result for result in there if self._known(result) == settings}
        return [found[seed] for seed in sorted(found)]

    def find(self, settings: Settings, data: str) -> Result | None:
        """The result of these settings, seed included, if there is one."""
        return next((result for result in self.of(settings, data) if result.seed == settings.seed), None)

    def seconds(self, row: str, budget: str) -> float | None:
        """What this row has taken so far on average, on any data."""
        taken = [sum(r.seconds.values()) for r in self if (r.row, r.budget) == (row, budget) and r.seconds]
        return sum(taken) / len(taken) if taken else None

    def add(self, table: Table, result: Result) -> None:
        """Keep a result in the file of a table, which another command may have written to meanwhile."""
        path = self.folder / f"{table.stem}.json"
        kept = [other for other in _read(path) if other.key != result.key]
        self._tables[table.name] = [*kept, result]
        lines = ",\n".join(json.dumps(asdict(r), allow_nan=False) for r in self._tables[table.name])
        files.write_text(path, f"[\n{lines}\n]\n")

    def __iter__(self) -> Iterator[Result]:
        return (result for results in self._tables.values() for result in results)

    def _known(self, result: Result) -> Settings | None:
        """A result's settings with the seed at 0; None where this version has other ones."""
        text = json.dumps(result.settings | {"seed": 0})
        if text not in self._settings:
            try:
                self._settings[text] = Settings.from_dict(json.loads(text))
            except InputError:
                self._settings[text] = None
        return self._settings[text]


def changes(settings: Settings) -> dict[str, Any]:
    """The settings that differ from the defaults."""
    defaults = Settings().as_dict()
    return {name: value for name, value in settings.as_dict().items() if value != defaults[name]}


def _read(path: Path) -> list[Result]:
    if not path.exists():
        return []
    try:
        return [Result(**values) for values in files.read_json(path)]
    except TypeError as error:
        raise InputError(f"{path} does not hold results of `dssm reproduce`: {error}") from error
