# SPDX-License-Identifier: Apache-2.0
"""`dssm reproduce`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dssm.errors import InputError
from dssm.reproduce.budgets import BUDGETS, Budget
from dssm.reproduce.tables import TABLES, Table

if TYPE_CHECKING:
    from dssm.reproduce.results import Results
    from dssm.reproduce.run import Plan

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("table", required=False, type=click.Choice([*TABLES, "figures"]))
@click.option("--data", "root", type=_FOLDER, default="data", show_default=True, help="Holds bsd, mvtec/bottle, ...")
@click.option("--budget", "size", type=click.Choice(list(BUDGETS)), default="quick", show_default=True)
@click.option("--seeds", default="0,1,2", show_default=True, help="For BSD they also pick the split or the fold.")
@click.option("--only", multiple=True, metavar="ROW", help="A row that --list names; repeatable.")
@click.option("--on", multiple=True, metavar="DATA", help="A data set that --list names; repeatable.")
@click.option("--out", type=_FOLDER, default="experiments", show_default=True, help="Folder of the results.")
@click.option("--runs", type=_FOLDER, default="runs/reproduce", show_default=True, help="Folder of the run folders.")
@click.option("--list", "listing", is_flag=True, help="Train nothing; say what is finished and what the rest takes.")
@click.option("--report", is_flag=True, help="Train nothing; show what is finished.")
@click.option("--docs", type=_FOLDER, help="Root of a checkout whose README and docs/accuracy.md to rewrite.")
@click.option("--device", help="cpu or cuda.  [default: cuda if there is one]")
def reproduce(
    table: str | None,
    root: Path,
    size: str,
    seeds: str,
    only: tuple[str, ...],
    on: tuple[str, ...],
    out: Path,
    runs: Path,
    listing: bool,
    report: bool,
    docs: Path | None,
    device: str | None,
) -> None:
    """Measure TABLE of the paper (3 to 9) or other surfaces, or draw the paper's figures.

    Each row on each data set with each seed is a job. What is finished is kept in --out and not done again; a job that
    was stopped goes on where it was. Data sets that are not there are left out.

    \b
      dssm reproduce 9 --data data --budget quick
      dssm reproduce 3 --budget standard --only ours --only cutpaste --seeds 0
      dssm reproduce 3 --list
      dssm reproduce figures --budget quick
      dssm reproduce --docs .                        rewrite the docs, train nothing
    """
    from dssm.reproduce.job import Place
    from dssm.reproduce.results import Results
    from dssm.reproduce.run import plan, run
    from dssm.training import Interrupted

    results, budget, numbers, place = Results(out), BUDGETS[size], _numbers(seeds), Place(root, runs, device)
    failed: list[str] = []
    try:
        if table == "figures":
            from dssm.reproduce.figures import draw_figures

            draw_figures(out / "figures", budget, numbers[0], place, train_missing=not report, say=_say)
        elif table is not None:
            wanted = TABLES[table]
            found = plan(wanted.only(only), wanted.on(on), budget, numbers, place, results)
            _announce(wanted, budget, found)
            if listing:
                _list(wanted, found, results)
                return
            if not report:
                if not found.to_do and not found.finished:
                    raise InputError(f"nothing of {wanted.title!r} can be run here; the reasons are above")
                failed = run(wanted, found.to_do, results, place, keep=numbers[0], say=_say)
            _show(wanted, budget, results)
        elif docs is None:
            raise InputError(f"say what to reproduce: dssm reproduce TABLE, one of {', '.join(TABLES)} or figures")
    except Interrupted as error:
        _say(f"{error}; the same command goes on from there")
        sys.exit(130)
    if docs is not None:
        from dssm.reproduce.page import write_docs

        write_docs(docs, results)
    if failed:
        raise click.ClickException(f"{len(failed)} jobs failed; their reasons are above")


def _numbers(seeds: str) -> list[int]:
    """0,1,2 as a list."""
    parts = [part.strip() for part in seeds.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--seeds must be numbers such as 0,1,2, not {seeds!r}")
    return list(dict.fromkeys(map(int, parts)))


def _announce(table: Table, budget: Budget, found: Plan) -> None:
    _say(f"{table.title}; budget {budget.name}: {budget.about}")
    for reason in found.left_out:
        _say(f"left out: {reason}")


def _list(table: Table, found: Plan, results: Results) -> None:
    """A line per data set and row, and how long the rest takes."""
    from dssm.reproduce.run import duration, estimate

    total = 0.0
    for data in table.data:
        for row in table.rows:
            done = [job for job in found.finished if (job.data, job.system) == (data, row.system)]
            to_do = [job for job in found.to_do if (job.data, job.system) == (data, row.system)]
            seconds = sum(estimate(job, results) for job in to_do)
            total += seconds
            if done or to_do:
                count, rest = f"{len(done)} of {len(done) + len(to_do)}", duration(seconds) if to_do else ""
                click.echo(f"  {data.name:14}{row.system.name:14}{count}  {rest}".rstrip())
    click.echo(f"{len(found.finished)} jobs are finished, {len(found.to_do)} are to do: {duration(total)}")


def _show(table: Table, budget: Budget, results: Results) -> None:
    """Print the table and draw its picture."""
    from dssm.reproduce.chart import draw
    from dssm.reproduce.page import chart_name
    from dssm.reproduce.report import markdown, measured

    cells = measured(table, budget, results)
    click.echo(markdown(table, budget, results) or "nothing is finished yet")
    if cells:
        path = results.folder / chart_name(table, budget.name)
        try:
            draw(table, cells, path)
        except InputError as error:
            _say(f"no picture: {error}")


def _say(line: str) -> None:
    click.echo(line, err=True)
