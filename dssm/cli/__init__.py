# SPDX-License-Identifier: Apache-2.0
"""The command line, a file per command."""

from __future__ import annotations

import sys
import warnings

import click

import dssm
from dssm.cli.bench import bench
from dssm.cli.doctor import doctor
from dssm.cli.evaluate import evaluate
from dssm.cli.export import export
from dssm.cli.info import info
from dssm.cli.predict import predict
from dssm.cli.reproduce import reproduce
from dssm.cli.settings import settings
from dssm.cli.threshold import threshold
from dssm.cli.train import train
from dssm.cli.verify import verify
from dssm.errors import BackendError, InputError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(dssm.__version__, prog_name="dssm")
def cli() -> None:
    """Find surface defects after training on good images only.

    \b
      dssm doctor parts/good                        look at the images first
      dssm train parts/good --out runs/parts        learn what good parts look like
      dssm threshold runs/parts --false-reject 0.5%  choose anew what passes
      dssm predict runs/parts parts/new --out out   score images, draw heat maps
      dssm evaluate runs/bottle mvtec/bottle        metrics, where defects are known
      dssm export runs/parts parts.onnx             one file that runs without torch
      dssm reproduce 9 --data DATA                  the paper's tables, measured
    """


for command in (doctor, train, threshold, evaluate, predict, export, verify, settings, info, bench, reproduce):
    cli.add_command(command)


def main() -> None:
    """Run the command line; what the user can mend is one line and exit status 2."""
    warnings.filterwarnings("ignore", module="PIL")  # what it finds odd in files that it can read
    try:
        cli(standalone_mode=True)
    except (InputError, BackendError) as error:
        click.echo(f"dssm: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        click.echo(f"dssm: {error.filename or 'a file'}: {error.strerror or error}", err=True)
        sys.exit(2)
