# SPDX-License-Identifier: Apache-2.0
"""Options that more than one command takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dssm.detector import Prediction

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
