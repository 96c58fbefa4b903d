# SPDX-License-Identifier: Apache-2.0
"""`dssm predict`."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import click
from PIL import Image

from dssm import files
from dssm.cli import options
from dssm.cli.scores import SCORE_COLUMNS, score_cells


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the results; new.")
@options.pictures
@click.option("--device", help="cpu or cuda.  [default: cuda if there is one]")
def predict(run: Path, images: str, out: Path, pictures: int, device: str | None) -> None:
    """Score IMAGES (a file, a folder or a quoted pattern) with the model in RUN.

    Writes scores.csv, and per image a heat map (heatmaps/) and a mask of what lies above the pixel threshold (masks/),
    both at the size of the image; and report.html, one page to look at the images, with thresholds to slide.
    """
    from dssm import picture
    from dssm.data import find_images, read
    from dssm.detector import Detector
    from dssm.heatmaps import heat, mask
    from dssm.report import report

    detector = Detector.load(run, device=device)
    paths = find_images(images)
    root = Path(os.path.commonpath([path.parent for path in paths]))
    threshold = detector.thresholds["image"]
    anomalous = 0
    title = f"{run.resolve().name} on {root.resolve().name}"
    with (
        files.new_folder(out) as folder,
        files.open_csv(folder / "scores.csv") as file,
        report(folder / "report.html", detector, title=title, root=root, pictures=pictures) as page,
    ):
        writer = csv.writer(file)
        writer.writerow(["file", *SCORE_COLUMNS])
        for path, prediction in zip(paths, detector.stream(paths, progress=True), strict=True):
            image = read(path)
            # The extension stays in the name: a.jpg and a.png may lie side by side.
            name = path.relative_to(root).with_name(path.name + ".png")
            for kind, drawn in (
                ("heatmaps", heat(detector, image, prediction)),
                ("masks", Image.fromarray(mask(detector, image, prediction))),
            ):
                (folder / kind / name).parent.mkdir(parents=True, exist_ok=True)
                picture.save(drawn, folder / kind / name)
            page.add(prediction, image)
            writer.writerow([path, *score_cells(prediction)])
            anomalous += prediction.anomalous
    click.echo(f"{anomalous} of {len(paths)} images are anomalous (score above {threshold:.4g}): {out}/report.html")
