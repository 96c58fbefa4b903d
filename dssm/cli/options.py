# SPDX-License-Identifier: Apache-2.0
"""Options that more than one command takes."""

from __future__ import annotations

import click

pictures = click.option(
    "--pictures",
    type=click.IntRange(min=0),
    default=500,
    show_default=True,
    help="Images that report.html shows, wrong verdicts first, then high scores; the others are lines of its list.",
)
