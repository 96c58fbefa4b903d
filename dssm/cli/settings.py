# SPDX-License-Identifier: Apache-2.0
"""`dssm settings`."""

from __future__ import annotations

import click

from dssm.settings import DEFAULT, PRESETS, preset


@click.command()
@click.option("--preset", "name", type=click.Choice(list(PRESETS)), default=DEFAULT, show_default=True)
def settings(name: str) -> None:
    """Print every setting of a preset with a word on what it does: a config file to edit.

    \b
      dssm settings --preset paper > my.yaml
      dssm train parts/good --config my.yaml --out runs/mine
    """
    click.echo(preset(name).as_yaml(), nl=False)
