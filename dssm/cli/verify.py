# SPDX-License-Identifier: Apache-2.0
"""`dssm verify`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dssm.cli.export import exporter

if TYPE_CHECKING:
    from dssm.export import Parity


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images")
@click.option(
    "--tolerance", type=click.FloatRange(min=0), help="Largest difference allowed.  [default: 0.01; int8 any]"
)
@click.option(
    "--differing",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of verdicts that may differ.",
)
def verify(run: Path, model: Path, images: str, tolerance: float | None, differing: float) -> None:
    """Compare MODEL, exported from RUN, with RUN on IMAGES: a file, a folder, a quoted pattern, or a data set.

    Prints the largest differences, verdicts, time and, where defects are known, AUROCs. Ends with status 1 when more
    verdicts differ than may, or a score or a value of a map by more than the tolerance, as a share of 1 + its size.
    Maps are compared on images that were resized beforehand: what a resize rounds the other way shows in them.
    """
    parity = exporter("parity").verify(run, model, images, tolerance=tolerance, differing=differing)
    for line in lines(parity):
        click.echo(line)
    if not parity.holds:
        click.echo(f"dssm: {model} does not say the same as {run}", err=True)
        sys.exit(1)


def lines(parity: Parity) -> list[str]:
    """A line per figure, the checkpoint's before the exported model's."""
    import numpy as np

    count, allowed = parity.images, "any" if parity.tolerance == np.inf else f"{parity.tolerance:g}"
    times = [np.percentile(milliseconds, [50, 95]) for milliseconds in parity.milliseconds]
    found = [
        f"images           {count}",
        f"score            differs by at most {parity.score:.1e} (allowed: {allowed})",
        f"map              differs by at most {parity.map:.1e} (allowed: {allowed}), of images resized beforehand",
        f"verdicts         {count - parity.verdicts} of {count} the same",
        f"masks            {100 * parity.pixels:.2g} % of the pixels differ",
        *(
            f"{name:16} {p50:.1f} ms per image (median), {p95:.1f} ms (95th percentile), {parity.threads} threads"
            for name, (p50, p95) in zip(("torch", "onnxruntime"), times, strict=True)
        ),
    ]
    for name, pair in (("image AUROC", parity.image_auroc), ("pixel AUROC", parity.pixel_auroc)):
        if pair is not None:
            found.append(f"{name:16} {100 * pair[0]:.2f} torch, {100 * pair[1]:.2f} onnxruntime")
    return found
