# SPDX-License-Identifier: Apache-2.0
"""`dssm predict --watch`: what arrives in a folder is scored, until somebody stops it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from dssm.cli import options
from dssm.cli.scores import SCORE_COLUMNS, score_cells
from dssm.data import read
from dssm.data.listing import SUFFIXES, is_image
from dssm.detector import Detector, Prediction
from dssm.errors import InputError
from dssm.heatmaps import write_maps
from dssm.latency import Latency
from dssm.results import Results
from dssm.stop import stop_signal
from dssm.watch import File, Stamp, Watch

TABLE = "scores.csv"
HEADER = ("file", *SCORE_COLUMNS, "modified", "bytes", "error")
PAUSE = 0.2  # seconds between two looks
PATIENCE = 5.0  # seconds for which a file that cannot be read may still be in the making


def watch_folder(detector: Detector, folder: Path, out: Path, *, batch: int, maps: str) -> str:
    """Score what arrives below `folder` until Ctrl-C; `out` receives the table and the maps. Returns what was done.

    Raises InputError for folders that cannot be used, and when the disk is full: the table then ends with the last
    image whose maps are whole, and the same command goes on after it.
    """
    folder, out = folder.resolve(), out.resolve()
    if not folder.is_dir():
        raise InputError(f"cannot watch {folder}: no such folder")
    if out.is_relative_to(folder):
        raise InputError(f"--out {out} lies in the watched folder, where its pictures would be scored; choose another")
    if out.exists() and not (out / TABLE).exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists already and is not of a watch; choose another folder")
    with stop_signal() as stop, Results(out / TABLE, HEADER) as results:
        line = Line(detector, folder, results, batch, maps)
        with tqdm(desc="watch", unit="image", disable=None) as bar:
            while not stop.is_set():
                for _ in line.look():
                    bar.update(line.scored - bar.n)
                    bar.set_postfix_str(f"{line.anomalous} anomalous, {line.refused} not scored")
                    if stop.is_set():
                        break
                # A look at a great many files must not keep a processor busy.
                time.sleep(max(PAUSE, line.looked))
        return line.summary()


class Line:
    """One run of a watch."""

    def __init__(self, detector: Detector, folder: Path, results: Results, batch: int, maps: str) -> None:
        self.detector, self.folder, self.results, self.batch, self.maps = detector, folder, results, batch, maps
        self.latency = Latency()
        self.scored = self.anomalous = self.refused = 0
        self.looked = 0.0  # seconds that the last look took
        self._watch = Watch(folder, _taken(results))

    def look(self) -> Iterator[None]:
        """Score what has arrived, a batch at a time."""
        began = time.monotonic()
        files = self._watch.look()
        self.looked = time.monotonic() - began
        for start in range(0, len(files), self.batch):
            self._score(files[start : start + self.batch])
            yield

    def summary(self) -> str:
        """What was done, in two or three lines."""
        lines = [f"{self.anomalous} of {self.scored} images are anomalous: {self.results.path}", str(self.latency)]
        if self.refused:
            lines.append(f"{self.refused} files could not be scored; the column error says why")
        return "\n".join(lines)

    def _score(self, files: list[File]) -> None:
        """Score what can be read; what cannot, or changes meanwhile, is found again by the next look."""
        began = time.perf_counter()
        images = {file: image for file in files if (image := self._read(file)) is not None}
        predictions = self._predict(list(images))
        if predictions:
            self.latency.add(len(predictions), time.perf_counter() - began)
        for file, prediction in predictions.items():
            if file.unchanged():
                self._keep(file, images[file], prediction)

    def _read(self, file: File) -> Image.Image | None:
        try:
            if not is_image(file.path):
                raise InputError(f"{file.path.name} is not called an image ({' '.join(sorted(SUFFIXES))})")
            return read(file.path)
        except InputError as error:
            if file.quiet >= PATIENCE and file.unchanged():
                self._refuse(file, error)
            return None

    def _predict(self, files: list[File]) -> dict[File, Prediction]:
        """Without those that the detector does not take, or that were taken away after they had been read."""
        try:
            predictions = self.detector.predict([file.path for file in files], batch=self.batch)
            return dict(zip(files, predictions, strict=True))
        except InputError as error:
            if len(files) > 1:
                return {file: prediction for one in files for file, prediction in self._predict([one]).items()}
            if files[0].unchanged():
                self._refuse(files[0], error)
            return {}

    def _keep(self, file: File, image: Image.Image, prediction: Prediction) -> None:
        name = file.path.relative_to(self.folder)
        try:
            if options.draws(self.maps, prediction):
                write_maps(self.results.path.parent, name, self.detector, image, prediction)
            # Last, so that an image in the table has its pictures.
            self.results.append([file.path, *score_cells(prediction), *file.stamp.text(), ""])
        except InputError as error:
            raise InputError(f"{error}; once that is mended, the same command goes on from here") from error
        self._watch.take(file)
        self.scored += 1
        self.anomalous += prediction.anomalous

    def _refuse(self, file: File, error: InputError) -> None:
        self.results.append([file.path, *("" for _ in SCORE_COLUMNS), *file.stamp.text(), error])
        self._watch.take(file)
        self.refused += 1


def _taken(results: Results) -> dict[str, Stamp]:
    """The files that earlier runs scored or refused. Raises InputError for a table that was changed by hand."""
    try:
        return {row["file"]: Stamp.parse(row["modified"], row["bytes"]) for row in results.rows()}
    except ValueError as error:
        raise InputError(f"{results.path} has a line that no watch wrote: {error}; choose another folder") from error
