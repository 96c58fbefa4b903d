# SPDX-License-Identifier: Apache-2.0
"""`dssm bench`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import click

import dssm
from dssm import files
from dssm.errors import InputError


@click.command()
@click.option("--only", multiple=True, metavar="OP", help="Time this op alone (step: the training step); repeatable.")
@click.option(
    "--threads", type=click.IntRange(min=1), multiple=True, help="Repeatable.  [default: 1, and 2 if there are]"
)
@click.option("--step/--no-step", default=True, show_default=True, help="Time the training step too.")
@click.option("--quick", is_flag=True, help="A few rounds of everything: minutes, and noisy.")
@click.option("--cpu-time", is_flag=True, help="Time of the processor, for a machine that does other work meanwhile.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="JSON file of results to write or update.",
)
@click.option("--report", type=click.Path(path_type=Path), help="Time nothing; show the results in this JSON file.")
@click.option("--docs", type=click.Path(path_type=Path), help="Root of a checkout whose README and docs to rewrite.")
def bench(
    only: tuple[str, ...],
    threads: tuple[int, ...],
    step: bool,
    quick: bool,
    cpu_time: bool,
    out: Path | None,
    report: Path | None,
    docs: Path | None,
) -> None:
    """Time the ops and the training step beside their peers and the floor of this machine.

    \b
      dssm bench --only hog --only perlin --quick
      dssm bench --out docs/performance.json --docs .
      dssm bench --report docs/performance.json --docs .      rewrite the docs, time nothing
    """
    runner, reporter = module("runner"), module("report")
    unknown = sorted(set(only) - set(runner.OPS))
    if unknown:
        raise InputError(f"--only must be one of {', '.join(runner.OPS)}, not {unknown[0]}")
    if report is not None:
        data = files.read_json(report)
    else:
        ops = only or [op for op in runner.OPS if step or op != "step"]
        counts = threads or ((1,) if cpu_time or runner.cores() == 1 else (1, 2))
        data = runner.measure(ops, counts, quick=quick, cpu_time=cpu_time)
        if out is not None and out.exists():
            data = runner.update(files.read_json(out), data)
    if out is not None:
        files.write_json(out, data)
    click.echo(reporter.text(data))
    if docs is not None:
        reporter.write_docs(docs, data)
    if any(skip["reason"].startswith("FAILED") for skip in data["skipped"]):
        raise click.ClickException("some benches failed; their reasons are above")


def module(name: str) -> ModuleType:
    """`dssm.bench.<name>`; in a checkout that is not installed, the folder bench beside dssm is that package."""
    if "dssm.bench" not in sys.modules and importlib.util.find_spec("dssm.bench") is None:
        folder = Path(dssm.__file__).parents[1] / "bench"
        spec = importlib.util.spec_from_file_location(
            "dssm.bench", folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        sys.modules["dssm.bench"] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"dssm.bench.{name}")
