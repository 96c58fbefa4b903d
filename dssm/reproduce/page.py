# SPDX-License-Identifier: Apache-2.0
"""docs/accuracy.md and the README's table, made from the committed results."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from itertools import groupby
from pathlib import Path

from dssm import files
from dssm.errors import InputError
from dssm.reproduce.budgets import BUDGETS, Budget
from dssm.reproduce.chart import draw
from dssm.reproduce.figures import file_names
from dssm.reproduce.report import grid, markdown, measured, percent
from dssm.reproduce.results import Result, Results
from dssm.reproduce.run import duration
from dssm.reproduce.tables import MEASURES, TABLES, Table

TEMPLATE, PAGE = "docs/accuracy.template.md", "docs/accuracy.md"  # words by hand, and what is made of them
BEGIN, END = "<!-- accuracy:begin -->", "<!-- accuracy:end -->"
README_TABLE, README_BUDGET = "surfaces", "standard"
FIGURES = "figures"


def write_docs(root: Path, results: Results) -> None:
    """The page, its charts and the README's table below `root`, a checkout."""
    readme = _text(root / "README.md")
    page = make_page(_text(root / TEMPLATE), results)
    for table in TABLES.values():
        for budget in _budgets_of(table, results):
            draw(table, measured(table, budget, results), results.folder / chart_name(table, budget.name))
    files.write_text(root / PAGE, page)
    files.write_text(root / "README.md", insert(readme, readme_section(results)))


def make_page(template: str, results: Results) -> str:
    """The template with its marks filled in: {{ budgets }}, {{ runs }}, {{ table NAME }} and {{ figures }}."""
    makers: dict[str, Callable[[], str]] = {
        "budgets": _budgets,
        "runs": partial(_runs, results),
        "figures": partial(_figures, results.folder),
        **{f"table {name}": partial(_section, table, results) for name, table in TABLES.items()},
    }

    def fill(mark: re.Match[str]) -> str:
        if mark[1] not in makers:
            raise InputError(f"{TEMPLATE} has the mark {mark[0]}; known are {', '.join(makers)}")
        return makers[mark[1]]()

    filled = re.sub(r"\{\{ (.*?) \}\}", fill, template)
    return f"<!-- Made by `dssm reproduce --docs .` from {TEMPLATE} and the results; do not edit. -->\n\n{filled}"


def readme_section(results: Results) -> str:
    """What stands between the README's markers."""
    measures = ("image_auroc", "pixel_auroc", "pixel_aupro")
    cells = measured(TABLES[README_TABLE], BUDGETS[README_BUDGET], results)
    lines = [
        [
            cell.data.title,
            cell.row.system.title,
            *(percent(cell, measure) for measure in measures),
            str(len(cell.results)),
        ]
        for cell in cells
    ]
    if not cells:
        return "Not run yet."
    return grid(["data", "system", *(MEASURES[measure] for measure in measures), "runs"], lines, left=2)


def insert(readme: str, section: str) -> str:
    """The README with the section between its markers. Raises InputError where they are missing."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"the README must hold the lines {BEGIN} and {END}, between which the table goes")
    return f"{before}{BEGIN}\n{section}\n{END}{after}"


def chart_name(table: Table, budget: str) -> str:
    """The file of a table's picture."""
    return f"{table.stem}-{budget}.png"


def _budgets_of(table: Table, results: Results) -> list[Budget]:
    """The budgets that more of a table was run under than its floor."""
    found = []
    for budget in BUDGETS.values():
        run = {
            cell.row.system.name
            for cell in measured(table, budget, results)
            if any(result.budget == budget.name for result in cell.results)
        }
        if len(run) > 1:
            found.append(budget)
    return found


def _section(table: Table, results: Results) -> str:
    """The table and its picture under every such budget."""
    parts = []
    for budget in _budgets_of(table, results):
        picture = f"![{table.title}](../{results.folder.name}/{chart_name(table, budget.name)})"
        parts.append(f"**Budget {budget.name}**\n\n{markdown(table, budget, results)}\n\n{picture}")
    return "\n\n".join(parts) or f"Not run yet: `dssm reproduce {table.name}`."


def _budgets() -> str:
    return "\n".join(f"- `{budget.name}`: {budget.about}" for budget in BUDGETS.values())


def _runs(results: Results) -> str:
    """Machines and versions, with what was run on them and how long it took."""

    def origin(result: Result) -> str:
        machine, versions = result.machine, result.versions
        where = [machine.get("gpu") or machine["cpu"]] + [
            f"{machine[part]} {part}" for part in ("cores", "threads") if part in machine
        ]
        return f"{', '.join(where)}; {', '.join(f'{name} {version}' for name, version in versions.items())}"

    lines = []
    for name, group in groupby(sorted(results, key=origin), key=origin):
        part = list(group)
        seconds = [result.seconds for result in part if result.seconds]
        times = [f"{key} {duration(sum(taken[key] for taken in seconds))}" for key in ("training", "evaluation")]
        dates = sorted({result.date for result in part})
        period = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        lines.append(f"- {name}. Runs: {len(part)}, {period}; {', '.join(times) if seconds else 'times not kept'}.")
    return "\n".join(lines) or "Nothing yet."


def _figures(folder: Path) -> str:
    """The pictures that were drawn, each under its title."""
    there = [(title, name) for title, name in file_names() if (folder / FIGURES / name).exists()]
    parts = [f"**{title}**\n\n![{title}](../{folder.name}/{FIGURES}/{name})" for title, name in there]
    return "\n\n".join(parts) or "Not drawn yet: `dssm reproduce figures`."


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; --docs must name a checkout of dssm") from error
