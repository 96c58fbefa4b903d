# SPDX-License-Identifier: Apache-2.0
"""`dssm predict`."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dssm import files
from dssm.cli import options
from dssm.cli.scores import SCORE_COLUMNS, score_cells
from dssm.errors import InputError

if TYPE_CHECKING:
    from dssm.detector import Detector


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the results; new.")
@click.option("--watch", type=click.Path(path_type=Path), help="Score what arrives in this folder, until Ctrl-C.")
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Images at a time, at most.")
@options.maps
@options.pictures
@click.option("--device", help="cpu or cuda.  [default: cuda if there is one]")
def predict(
    run: Path,
    images: tuple[str, ...],
    out: Path,
    watch: Path | None,
    batch: int,
    maps: str,
    pictures: int,
    device: str | None,
) -> None:
    """Score IMAGES (files, folders or quoted patterns) with the model in RUN.

    Writes scores.csv, and per image a heat map (heatmaps/) and a mask of what lies above the pixel threshold (masks/),
    both at the size of the image; and report.html, one page to look at the images, with thresholds to slide.

    \b
      dssm predict runs/parts parts/new --out out
      dssm predict runs/parts --watch incoming --out out --batch 1

    With --watch every file below a folder is scored once, as soon as it is whole, and scores.csv grows line by line,
    without a report; --out may hold what an earlier watch wrote: it goes on there. A file that cannot be scored is a
    line with its error.
    """
    if bool(images) == (watch is not None):
        raise InputError("say what to score, images or --watch FOLDER, and not both")
    from dssm.cli.watching import watch_folder  # torch takes seconds to import; --help need not wait for it
    from dssm.detector import Detector

    detector = Detector.load(run, device=device)
    if watch is not None:
        click.echo(watch_folder(detector, watch, out, batch=batch, maps=maps))
    else:
        _score(detector, images, out, batch, maps, pictures, title=run.resolve().name)


def _score(
    detector: Detector, images: Sequence[str], out: Path, batch: int, maps: str, pictures: int, title: str
) -> None:
    from tqdm import tqdm

    from dssm.data import find_images, read
    from dssm.heatmaps import write_maps
    from dssm.latency import Latency
    from dssm.report import report

    paths = list(dict.fromkeys(path for name in images for path in find_images(name)))
    places = [Path(os.path.abspath(path)) for path in paths]  # without .., which would lead out of the results
    root = Path(os.path.commonpath([place.parent for place in places]))
    threshold = detector.thresholds["image"]
    latency, anomalous = Latency(), 0
    with (
        files.new_folder(out) as folder,
        files.open_csv(folder / "scores.csv") as file,
        report(folder / "report.html", detector, title=f"{title} on {root.name}", root=root, pictures=pictures) as page,
        tqdm(total=len(paths), desc="predict", unit="image") as bar,
    ):
        writer = csv.writer(file)
        writer.writerow(["file", *SCORE_COLUMNS])
        for start in range(0, len(paths), batch):
            part = paths[start : start + batch]
            began = time.perf_counter()
            predictions = detector.predict(part, batch=batch)
            latency.add(len(part), time.perf_counter() - began)
            for path, place, prediction in zip(part, places[start : start + batch], predictions, strict=True):
                image = read(path)
                if options.draws(maps, prediction):
                    write_maps(folder, place.relative_to(root), detector, image, prediction)
                page.add(prediction, image)
                writer.writerow([path, *score_cells(prediction)])
                anomalous += prediction.anomalous
                bar.update()
    click.echo(f"{anomalous} of {len(paths)} images are anomalous (score above {threshold:.4g}): {out}/report.html")
    click.echo(latency)
