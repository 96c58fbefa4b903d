# SPDX-License-Identifier: Apache-2.0
"""Options that more than one command takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dssm.detector import Prediction


class Share(click.ParamType):
    """A share of a whole, as a percentage or a fraction: 0.5% or 0.005."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            self.fail(f"{value!r} is no share of the good images: write 0.5% or 0.005", param, ctx)
        return share


false_reject = click.option(
    "--false-reject", type=Share(), metavar="SHARE", help="Good images that each threshold may reject: 0.5% or 0.005."
)
pixel_false_reject = click.option(
    "--pixel-false-reject",
    type=Share(),
    metavar="SHARE",
    help="Good images that may have pixels above the threshold of pixels.  [default: as --false-reject]",
)

pictures = click.option(
    "--pictures",
    type=click.IntRange(min=0),
    default=500,
    show_default=True,
    help="Images that report.html shows, wrong verdicts first, then high scores; the others are lines of its list.",
)

maps = click.option(
    "--maps",
    type=click.Choice(["all", "anomalous", "none"]),
    default="all",
    show_default=True,
    help="Images that get a heat map and a mask: drawing takes longer than scoring.",
)


def draws(maps: str, prediction: Prediction) -> bool:
    """Whether `--maps` asks for the pictures of this image."""
    return maps == "all" or (maps == "anomalous" and prediction.anomalous)
