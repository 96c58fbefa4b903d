# SPDX-License-Identifier: Apache-2.0
"""Writes the page image by image, in memory that does not grow with their number."""

from __future__ import annotations

import base64
import hashlib
import heapq
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

import dssm
from dssm import files
from dssm.data import GOOD, read
from dssm.detector import Detector, Evaluation, Prediction
from dssm.errors import InputError
from dssm.picture import colormap
from dssm.report.picture import encode
from dssm.settings import about

PICTURES = 500  # images that are shown; the others are lines of the list
_SCRIPTS = ("page.js", "scores.js", "list.js", "maps.js", "viewer.js", "report.js")


class Page:
    """A report that is being written; `report` opens it."""

    def __init__(self, file: TextIO, root: Path, pictures: int) -> None:
        self.metrics: dict[str, Any] | None = None
        self._file, self._root, self._limit = file, root, pictures
        self._count = 0
        self._pictures: list[tuple[bool, float, int, str]] = []  # a heap, the least interesting first

    def add(
        self,
        prediction: Prediction,
        image: Image.Image | None = None,
        *,
        kind: str | None = None,
        truth: np.ndarray | None = None,
    ) -> None:
        """Add an image; it is read from `prediction.path` where it is needed and not given.

        `kind` is GOOD or the name of its defect, None for all images where nobody knows; `truth` (H, W) bool marks the
        defect, if it is known, at the size of the map. Raises InputError when the image cannot be read.
        """
        row, path = self._count, prediction.path
        self._count += 1
        line = [self._name(path) if path else f"image {row}", prediction.score, kind]
        self._file.write(f"{',' if row else ''}\n{_json(line)}")
        wrong = kind is not None and prediction.anomalous == (kind == GOOD)
        rank = (wrong, prediction.score, -row)
        full = len(self._pictures) >= self._limit
        if full and (not self._pictures or rank < self._pictures[0][:3]):
            return
        if image is None:
            if path is None:
                raise InputError("image must be given for a prediction that has no path")
            image = read(path)
        entry = (*rank, _json(encode(image, prediction.map, truth)))
        (heapq.heappushpop if full else heapq.heappush)(self._pictures, entry)

    def close(self, facts: Mapping[str, Any]) -> None:
        """Write what comes after the last image."""
        self._file.write("]</script>\n")
        for row, text in sorted((-minus_row, text) for _, _, minus_row, text in self._pictures):
            self._file.write(f'<script type="application/json" data-row="{row}">{text}</script>\n')
        everything = {**facts, "pictures": len(self._pictures), "metrics": self.metrics}
        self._file.write(f'<script type="application/json" id="facts">{_json(everything)}</script>\n')

    def _name(self, path: Path) -> str:
        place, root = Path(os.path.abspath(path)), Path(os.path.abspath(self._root))
        return (place.relative_to(root) if place.is_relative_to(root) else path).as_posix()


@contextmanager
def report(
    path: str | Path, detector: Detector, *, title: str, root: str | Path = ".", pictures: int = PICTURES
) -> Iterator[Page]:
    """Write the report to `path` when the block ends, and nothing when it fails.

    Every image is a line of the list; pictures are shown of the `pictures` most interesting ones, wrong verdicts
    first, then high scores, each of at most 60 KB. Names are given relative to `root`. Raises InputError when the file
    cannot be written.

    >>> with report("report.html", detector, title="new parts") as page:       # doctest: +SKIP
    ...     for prediction in detector.stream("parts/new"):
    ...         page.add(prediction)
    """
    head, tail = _template()
    with files.atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'{head}<script type="application/json" id="rows">[')
        page = Page(file, Path(root), pictures)
        yield page
        page.close(_facts(detector, title))
        file.write(tail)


def report_evaluation(
    path: str | Path,
    detector: Detector,
    evaluation: Evaluation,
    *,
    title: str,
    columns: Mapping[str, str],
    pictures: int = PICTURES,
) -> None:
    """The report of a test set; `columns` names the metrics that are shown, {key of `evaluation.metrics`: label}."""
    masks = evaluation.masks or [None] * len(evaluation.samples)
    root = os.path.commonpath([sample.path.parent for sample in evaluation.samples])
    with report(path, detector, title=title, root=root, pictures=pictures) as page:
        page.metrics = _metrics(evaluation.metrics, columns)
        cases = zip(evaluation.samples, evaluation.predictions, masks, strict=True)
        for sample, prediction, mask in tqdm(cases, desc="report", total=len(masks), unit="image"):
            page.add(prediction, kind=sample.kind, truth=None if mask is None else mask.numpy())


def _metrics(metrics: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    keys = [key for key in columns if key in metrics]
    kinds = metrics["per_kind"] if len(metrics["per_kind"]) > 1 else {}
    table = [[name, [values[key] for key in keys]] for name, values in [("", metrics), *kinds.items()]]
    return {"columns": [columns[key] for key in keys], "kinds": table}


def _facts(detector: Detector, title: str) -> dict[str, Any]:
    """What the page says of the model, and what it needs to draw."""
    settings, data = detector.settings.as_dict(), detector.data
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    height, width = detector.input_size
    model = {
        "trained on": f"{data['images']} good images of {data['name']}",
        "protocol": data.get("protocol"),
        "size that the network sees": f"{width} x {height} pixels" + (", a tile" if detector.tiles else ""),
        **{f"{name} threshold": f"{detector.thresholds[name]:.6g}" for name in ("image", "pixel")},
        "typical score and value of a map": "{typical_image:.6g}, {typical_pixel:.6g}".format(**detector.thresholds),
        "device": str(detector.device),
        "versions": f"dssm {dssm.__version__}, torch {torch.__version__}, Python {platform.python_version()}",
        "written": now,
    }
    return {
        "title": title,
        "subtitle": f"method {settings['method']}, trained on {model['trained on']} · {now}",
        "thresholds": detector.thresholds,
        "colours": base64.b64encode(colormap(np.linspace(0, 1, 256)[None]).tobytes()).decode("ascii"),
        "model": [[name, value] for name, value in model.items() if value],
        "settings": [[name, json.dumps(value), about(name)] for name, value in settings.items()],
    }


def _template() -> tuple[str, str]:
    """The page before and after its data. Its one script and its one style are named by their hashes: no other runs."""
    folder = resources.files(__package__)
    page, style = ((folder / name).read_text(encoding="utf-8") for name in ("report.html", "report.css"))
    script = "".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    for key, value in {"style": style, "script": script}.items():
        digest = base64.b64encode(hashlib.sha256(value.encode()).digest()).decode("ascii")
        page = page.replace(f"{{{{{key} hash}}}}", f"sha256-{digest}").replace(f"{{{{{key}}}}}", value)
    head, _, tail = page.partition("{{data}}")
    return head, tail


def _json(value: Any) -> str:
    """JSON that HTML takes for text, whatever a file is called: no `<`, and nothing but ASCII."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
