# SPDX-License-Identifier: Apache-2.0
"""`dssm export`."""

from __future__ import annotations

import importlib
import importlib.util
import shlex
from pathlib import Path
from types import ModuleType

import click

from dssm import files
from dssm.errors import InputError


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--int8", is_flag=True, help="Convolutions in 8 bits; `dssm verify` shows what that costs.")
@click.option("--data", help="Where the good images of the training are now, for --int8.  [default: where they were]")
def export(run: Path, model: Path, int8: bool, data: str | None) -> None:
    """Write the model in RUN as one ONNX file, MODEL, that needs onnxruntime and not torch.

    It takes an image as it is decoded (height x width x 3 bytes, any size), and gives score, verdict, map and mask.
    A short script that shows how is written beside it, unless there is one.

    \b
      dssm export runs/parts parts.onnx
      dssm verify runs/parts parts.onnx parts/new      do both say the same?
      python parts.py parts.onnx parts/new/*.png       needs onnxruntime, numpy and pillow
    """
    exporter("write").export(run, model, int8=int8, data=data)
    script = model.with_suffix(".py")
    if not script.exists():
        source = importlib.util.find_spec("dssm.export.standalone")
        assert source is not None
        assert source.origin is not None
        files.write_text(script, Path(source.origin).read_text(encoding="utf-8"))
    click.echo(f"written: {model} ({model.stat().st_size / 2**20:.1f} MiB), {script}")
    click.echo(f"now check it on images: {shlex.join(['dssm', 'verify', str(run), str(model)])} IMAGES")


def exporter(name: str) -> ModuleType:
    """`dssm.export.<name>`; raises InputError where onnx and its like are not installed."""
    try:
        return importlib.import_module(f"dssm.export.{name}")
    except ModuleNotFoundError as error:
        raise InputError(f'this needs the package {error.name}: pip install "dssm-surface[export]"') from error
