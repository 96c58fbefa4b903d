# SPDX-License-Identifier: Apache-2.0
"""`dssm train`."""

from __future__ import annotations

import shutil
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import click
import yaml

from dssm import files
from dssm.cli import options as shared
from dssm.errors import BackendError, InputError
from dssm.files import BOARD, CARD, CHECKPOINT, CONFIG, FACTS, LOG, SAMPLES, TENSORS
from dssm.settings import DEFAULT, PRESETS, Settings, preset, read_config

SOURCE = ("data", "protocol", "licence")  # what a config file holds beside settings


@click.command()
@click.argument("data", required=False)
@click.option("--out", "run", required=True, type=click.Path(path_type=Path), help="Folder for the trained model; new.")
@click.option("--method", help="The system to train, with the settings of its paper; `dssm settings` lists them.")
@click.option("--preset", "name", type=click.Choice(list(PRESETS)), help="Where settings start from.  [default: best]")
@click.option(
    "--config", type=click.Path(path_type=Path), help="YAML file of settings, e.g. another run's config.yaml."
)
@click.option("--protocol", type=click.Choice(["paper", "strict"]), help="How BSData is split.")
@click.option(
    "--size",
    help="What images are resized to: 256, 192x448 (height x width), auto to keep the aspect ratio, or native, with "
    "--tile, to keep every pixel.",
)
@click.option("--tile", help="Cut images into overlapping tiles of this size, such as 256; the network sees those.")
@click.option("--epochs", type=int, help="Passes over the good images.")
@click.option("--batch", type=int, help="Images per step.")
@click.option("--seed", type=int, help="Fixes everything random; for BSData it also picks the split or fold.")
@click.option("--textures", help="Folder of images to paste texture from, or builtin.")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Any setting of `dssm settings`; repeatable."
)
@shared.false_reject
@shared.pixel_false_reject
@click.option("--licence", help="Licence of the images, for the model card.")
@click.option("--device", help="cpu or cuda.  [default: cuda if there is one]")
@click.option("--tensorboard", is_flag=True, help="Show the training in TensorBoard: tensorboard --logdir RUN.")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
def train(
    data: str | None,
    run: Path,
    name: str | None,
    config: Path | None,
    protocol: str | None,
    licence: str | None,
    device: str | None,
    tensorboard: bool,
    resume: bool,
    changes: tuple[str, ...],
    **options: Any,
) -> None:
    """Learn from the good images of DATA.

    DATA is a folder of good images, a data set in MVTec AD layout, a BSData clone, or the word elpv (solar cells, from
    the package elpv-dataset). What a setting does: `dssm settings`. RUN/samples.png shows, as soon as training begins,
    what it pastes into good images.

    \b
      dssm train parts/good --out runs/parts
      dssm train mvtec/bottle --out runs/bottle --size 256 --epochs 30
      dssm train --resume --out runs/bottle
    """
    source = {"data": data, "protocol": protocol, "licence": licence}
    given = _given(source, name, config, changes, options)
    if "data" in given:
        from dssm.data import resolve  # torch takes seconds to import; --help need not wait for it

        given["data"] = resolve(given["data"])
    if resume:
        given = _resumed(run, given)
    source = {key: given.pop(key, None) for key in SOURCE}
    if source["data"] is None:
        raise InputError("say what to train on: dssm train DATA --out RUN")
    settings = _base(given.pop("preset", None), given.get("method")).replace(**given)

    if not resume:
        _prepare(run, source, settings)
    elif (run / FACTS).exists():
        click.echo(f"{run} is trained already")
        return
    try:
        _fit(settings, source, run, device, resume, tensorboard)
    except (InputError, BackendError):
        if not resume:
            _clear(run)
        raise


def _base(name: str | None, method: str | None) -> Settings:
    """Where the settings start from: a preset, or what the paper of a method says."""
    if name is not None or method in (None, "dssm"):
        return preset(name or DEFAULT)
    from dssm import methods

    return methods.defaults(method)


def _fit(
    settings: Settings, source: dict[str, Any], run: Path, device: str | None, resume: bool, tensorboard: bool
) -> None:
    from dssm.card import rates_table
    from dssm.detector import Detector
    from dssm.training import Interrupted
    from dssm.training.board import Board

    detector = Detector(settings, device=device)
    try:
        with Board(run) if tensorboard else nullcontext() as board:
            detector.fit(
                source["data"],
                protocol=source["protocol"],
                folder=run,
                resume=resume,
                on_epoch=board.epoch if board else None,
            )
    except Interrupted as error:
        click.echo(f"{error}; go on with: dssm train --resume --out {run}", err=True)
        sys.exit(130)
    detector.data["licence"] = source["licence"]
    detector.save(run)
    (run / CHECKPOINT).unlink(missing_ok=True)
    cut = f", cut into {detector.data['tiles']} tiles of" if detector.tiles else " at"
    size = "x".join(map(str, detector.input_size))
    click.echo(f"trained on {detector.data['images']} good images{cut} {size}: {run}")
    click.echo(rates_table(detector.false_rejects()))


def _given(
    source: dict[str, str | None],
    name: str | None,
    config: Path | None,
    changes: tuple[str, ...],
    options: dict[str, Any],
) -> dict[str, Any]:
    """What the user said, later words over earlier ones: config file, --set, options."""
    given: dict[str, Any] = read_config(config) if config else {}
    if source["data"] is not None:
        for key in SOURCE:
            given.pop(key, None)  # those of the config file belong to the config file's data
    for change in changes:
        key, separator, value = change.partition("=")
        if not separator:
            raise InputError(f"--set {change}: write KEY=VALUE")
        try:
            given[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {change}: {str(error).splitlines()[0]}") from error
    given |= {key: value for key, value in options.items() if value is not None}
    for key in ("size", "tile"):
        if isinstance(given.get(key), (str, int)):
            given[key] = _size(str(given[key]))
    extra = {**source, "preset": name}
    return given | {key: value for key, value in extra.items() if value is not None}


def _size(text: str) -> list[int] | str | None:
    from dssm.data import parse_size

    words = {"auto": None, "native": "native"}
    return words[text] if text in words else list(parse_size(text))


def _prepare(run: Path, source: dict[str, Any], settings: Settings) -> None:
    """Make the run folder, with all that is needed to repeat or resume the run."""
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise InputError(
            f"{run} exists already; choose another --out, or go on with it: dssm train --resume --out {run}"
        )
    heading = "".join(yaml.safe_dump({key: value}) for key, value in source.items())
    files.write_text(run / CONFIG, heading + settings.as_yaml())


def _clear(run: Path) -> None:
    """Leave nothing of a run that could not begin, so that the same command works once its input is mended."""
    if not (run / CHECKPOINT).exists():
        for name in (CONFIG, LOG, SAMPLES, CARD, TENSORS):
            (run / name).unlink(missing_ok=True)
        shutil.rmtree(run / BOARD, ignore_errors=True)
        with suppress(OSError):
            run.rmdir()  # unless somebody put a file there


def _resumed(run: Path, given: dict[str, Any]) -> dict[str, Any]:
    """The run's own configuration; raises InputError where the user now says something else."""
    stored = read_config(run / CONFIG)
    if given.pop("preset", None):
        raise InputError("--resume takes its settings from the run; leave out --preset")
    source = {key: stored.pop(key, None) for key in SOURCE}
    settings = Settings.from_dict(stored).as_dict()
    for key, value in given.items():
        now = value if key in source else Settings.from_dict({**stored, key: value}).as_dict()[key]
        if now != (source | settings)[key]:
            known = (source | settings)[key]
            raise InputError(f"--resume: {run / CONFIG} has {key} = {known!r}, not {value!r}; leave it out")
    return source | settings
