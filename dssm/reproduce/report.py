# SPDX-License-Identifier: Apache-2.0
"""A table's results as Markdown, beside the paper's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev

from dssm.errors import InputError
from dssm.reproduce.budgets import Budget
from dssm.reproduce.datasets import DataSet
from dssm.reproduce.results import Result, Results
from dssm.reproduce.systems import UNTRAINED
from dssm.reproduce.tables import MEASURES, Row, Table
from dssm.settings import Settings


@dataclass(frozen=True)
class Measured:
    """A row on one data set, with the results of its seeds."""

    row: Row
    data: DataSet
    results: list[Result]

    def value(self, measure: str) -> float | None:
        """The mean over the seeds, in percent."""
        values = self._values(measure)
        return mean(values) if values else None

    def spread(self, measure: str) -> float | None:
        """The standard deviation over the seeds (n - 1), in percent; None for a single one."""
        values = self._values(measure)
        return stdev(values) if len(values) > 1 else None

    def paper(self, measure: str) -> float | None:
        return self.row.paper.get(self.data.name, {}).get(measure)

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted(result.seed for result in self.results))

    def over(self, seeds: Sequence[int]) -> Measured:
        """The same over these seeds alone."""
        return replace(self, results=[result for result in self.results if result.seed in seeds])

    @property
    def minutes(self) -> float | None:
        """Of a training, on average; None where nobody looked at a clock."""
        known = [result.seconds["training"] for result in self.results if result.seconds]
        return mean(known) / 60 if known else None

    def _values(self, measure: str) -> list[float]:
        found = [result.metrics.get(measure) for result in self.results]
        return [100 * value for value in found if value is not None]


def measured(table: Table, budget: Budget, results: Results) -> list[Measured]:
    """The rows that have results, a data set after the other."""
    rows = [(row, settings) for row in table.rows if (settings := _settings(row, budget)) is not None]
    cells = [Measured(row, data, results.of(settings, data.name)) for data in table.data for row, settings in rows]
    return [cell for cell in cells if cell.results]


def blocks(cells: Sequence[Measured]) -> list[list[Measured]]:
    """Groups to be compared, each on one data set and over the same seeds: a fold is harder than another.

    A group holds every row that has those seeds, so that a row of three seeds stands beside one of the first alone, and
    again for itself; the floor by itself, which is there to be compared with, only where there is nothing else.
    """
    found = []
    for data in _sets(cells):
        here = [cell for cell in cells if cell.data == data]
        shared = {tuple(sorted({*a.seeds} & {*b.seeds})) for a in here for b in here} - {()}
        groups = [
            [cell.over(seeds) for cell in here if {*seeds} <= {*cell.seeds}]
            for seeds in sorted(shared, key=lambda seeds: (len(seeds), seeds))
        ]
        found += [group for group in groups if any(cell.row.system != UNTRAINED for cell in group)] or groups
    return found


def largest(cells: Sequence[Measured]) -> list[list[Measured]]:
    """Of each data set the group of most rows; of as many rows, that of most seeds."""
    found: dict[DataSet, list[Measured]] = {}
    for block in blocks(cells):
        if len(block) >= len(found.get(block[0].data, [])):
            found[block[0].data] = block
    return list(found.values())


def markdown(table: Table, budget: Budget, results: Results) -> str:
    """The whole table under a budget; empty where nothing of it was run."""
    cells = measured(table, budget, results)
    if not cells:
        return ""
    parts = [_across(table, cells)] if table.across else [_down(table, block) for block in blocks(cells)]
    there = {cell.row.system.name for cell in cells}
    missing = [row.system.title for row in table.rows if row.system.name not in there]
    notes = [f"Not run: {'; '.join(missing)}."] if missing else []
    return "\n\n".join([*parts, *_orders(table, largest(cells)), *notes])


def grid(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table, what comes after the first `left` columns set to the right."""
    rule = [*["---"] * left, *["---:"] * (len(header) - left)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def percent(cell: Measured, measure: str) -> str:
    """97.1, or 97.1 ± 0.3 over several seeds; - where it was not measured."""
    value, spread = cell.value(measure), cell.spread(measure)
    if value is None:
        return "-"
    return f"{value:.1f}" if spread is None else f"{value:.1f} ± {spread:.1f}"


def title(group: Sequence[Measured]) -> str:
    """Of a group on one data set over the same seeds: BSD, strict folds, seeds 0, 2."""
    seeds = group[0].seeds
    return f"{group[0].data.title}, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _settings(row: Row, budget: Budget) -> Settings | None:
    """None for a system that this version does not have."""
    try:
        return row.system.settings(budget, seed=0)
    except InputError:
        return None


def _down(table: Table, cells: Sequence[Measured]) -> str:
    """A line per system, on one data set; the paper's numbers where it has any for this data."""
    measures = [measure for measure in table.measures if any(cell.value(measure) is not None for cell in cells)]
    in_paper = [measure for measure in measures if any(cell.paper(measure) is not None for cell in cells)]
    header = [title(cells)]
    for measure in measures:
        header += [MEASURES[measure], *(["paper"] if measure in in_paper else [])]
    lines = []
    for cell in cells:
        line = [cell.row.system.title]
        for measure in measures:
            line += [percent(cell, measure), *([_paper(cell, measure)] if measure in in_paper else [])]
        lines.append([*line, _minutes(cell.minutes)])
    return grid([*header, "minutes of training"], lines)


def _across(table: Table, cells: Sequence[Measured]) -> str:
    """A line per data set, a column per system, the paper's numbers in brackets; the mean last."""
    (measure,) = table.measures
    there = {cell.row.system.name for cell in cells}
    systems = [row.system for row in table.rows if row.system.name in there]
    names, titles = [system.name for system in systems], [system.title for system in systems]
    by_place = {(cell.row.system.name, cell.data): cell for cell in cells if cell.value(measure) is not None}
    sets = [data for data in _sets(cells) if any((name, data) in by_place for name in names)]
    lines = [[data.title, *(_both(by_place.get((name, data)), measure) for name in names)] for data in sets]
    if len(sets) > 1:
        columns = [[by_place.get((name, data)) for data in sets] for name in names]
        lines.append(["mean of these", *(_mean(column, measure) for column in columns)])
    return grid([MEASURES[measure], *titles], lines)


def _both(cell: Measured | None, measure: str) -> str:
    if cell is None:
        return "-"
    paper = cell.paper(measure)
    return percent(cell, measure) + (f" ({paper:.2f})" if paper is not None else "")


def _mean(column: Sequence[Measured | None], measure: str) -> str:
    """Of a system that was run on all of the data sets."""
    values = [cell.value(measure) if cell else None for cell in column]
    paper = [cell.paper(measure) if cell else None for cell in column]
    known, reported = [v for v in values if v is not None], [p for p in paper if p is not None]
    if len(known) < len(column):
        return "-"
    return f"{mean(known):.1f}" + (f" ({mean(reported):.2f})" if len(reported) == len(column) else "")


def _orders(table: Table, groups: Sequence[Sequence[Measured]]) -> list[str]:
    """How the paper ranks its rows, and how the same rows rank here: a line per measure and data set of an ablation."""
    if table.across:
        return []
    cells = [cell for group in groups for cell in group]
    lines = []
    for measure in ("image_auroc", "pixel_auroc"):
        ranked = [cell for cell in cells if cell.paper(measure) is not None and cell.value(measure) is not None]
        if len(ranked) < 2:
            continue
        rows = [cell.row for cell in sorted(ranked, key=lambda cell: -(cell.paper(measure) or 0))]
        said = [f"- {MEASURES[measure]}, best first. The paper: {_titles(rows)}."]
        for group in groups:
            here = {cell.row.system.name: cell.value(measure) for cell in group}
            known = [row for row in rows if here.get(row.system.name) is not None]
            known.sort(key=lambda row: -(here[row.system.name] or 0))
            if len(known) > 1:
                said.append(f"{title(group)}: {_titles(known)}.")
        lines.append(" ".join(said))
    return ["\n".join(lines)] if lines else []


def _titles(rows: Sequence[Row]) -> str:
    return " > ".join(row.system.title for row in rows)


def _sets(cells: Sequence[Measured]) -> list[DataSet]:
    return list(dict.fromkeys(cell.data for cell in cells))


def _paper(cell: Measured, measure: str) -> str:
    value = cell.paper(measure)
    return "-" if value is None else f"{value:.2f}"


def _minutes(minutes: float | None) -> str:
    if minutes is None:
        return "-"
    return f"{minutes:.1f}" if minutes < 10 else f"{minutes:.0f}"
