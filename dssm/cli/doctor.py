# SPDX-License-Identifier: Apache-2.0
"""`dssm doctor`."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dssm.cli import options

if TYPE_CHECKING:
    from dssm.doctor import Examination, Finding

COLOURS = {"problem": "red", "warning": "yellow", "note": "blue"}
SHOWN = 5  # files of one finding


@click.command()
@click.argument("data")
@click.option(
    "--defect",
    type=click.FloatRange(min=0, min_open=True),
    metavar="PIXELS",
    help="How wide the smallest defect that matters is, in pixels of the images as they are: suggests a size.",
)
@options.false_reject
@click.option("--protocol", type=click.Choice(["paper", "strict"]), help="How BSData is split.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="For BSData: the split or fold.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="New folder for contact.png, findings.json and images.csv."
)
def doctor(
    data: str, defect: float | None, false_reject: float | None, protocol: str | None, seed: int, out: Path | None
) -> None:
    """Look at the images of DATA before training on them, and say what to mend.

    DATA is what `dssm train` takes. Every image is read once: what training takes it for, files that cannot be read,
    the same picture (or part) in training and test, odd exposures and sizes, masks that do not fit, whether the good
    images are enough for a threshold, and the size at which the smallest defect can be seen. Ends with status 1 where
    there is a problem; warnings and notes do not count.

    \b
      dssm doctor parts/good --defect 12
      dssm doctor mvtec/bottle --out bottle-doctor
    """
    from dssm import files, picture
    from dssm.doctor import contact_sheet, examine
    from dssm.settings import DEFAULT, preset

    if out is not None:
        files.check_new(out)
    settings = preset(DEFAULT)
    if false_reject is not None:
        settings = settings.replace(false_reject=false_reject)
    examination = examine(data, defect=defect, protocol=protocol, seed=seed, settings=settings, progress=True)
    for line in summary(examination):
        click.echo(line)
    if out is not None:
        with files.new_folder(out) as folder:
            picture.save(contact_sheet(examination), folder / "contact.png")
            files.write_json(folder / "findings.json", examination.as_dict())
            examination.write_table(folder / "images.csv")
        click.echo(f"\nwritten: {out}/contact.png, findings.json, images.csv")
    if examination.problems:
        sys.exit(1)


def summary(examination: Examination) -> list[str]:
    """What there is, then the findings, worst first."""
    from dssm.doctor.text import printable

    collection = examination.collection
    lines = [f"{printable(collection.name)}: layout {collection.layout}"]
    lines += [f"  {name:24} {count:7,}" for name, count in examination.roles.items()]
    for finding in examination.findings:
        lines += ["", *_lines(finding, examination)]
    return lines


def _lines(finding: Finding, examination: Examination) -> list[str]:
    from dssm.doctor.text import printable

    level = f"{finding.level:8}"
    text = f"{level} {finding.what}." + (f" {finding.todo[:1].upper()}{finding.todo[1:]}." if finding.todo else "")
    first, *rest = textwrap.wrap(printable(text), 110, subsequent_indent=" " * 9, break_on_hyphens=False)
    marks = [
        f"           {printable(examination.name(mark.path))}: {printable(mark.why)}" for mark in finding.marks[:SHOWN]
    ]
    more = len(finding.marks) - SHOWN
    return [
        click.style(level, fg=COLOURS[finding.level], bold=True) + first[len(level) :],
        *rest,
        *marks,
        *([f"           and {more:,} more"] if more > 0 else []),
    ]
