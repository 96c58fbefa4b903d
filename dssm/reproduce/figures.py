# SPDX-License-Identifier: Apache-2.0
"""The paper's figures on BSD: how PasteNoise makes a defect, its patch types, the heat maps of systems; and errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dssm import ops, picture
from dssm.data import Sample, discover, load_images, load_textures, read, read_mask
from dssm.detector import Detector, Evaluation
from dssm.errors import InputError
from dssm.heatmaps import heat
from dssm.reproduce.budgets import BUDGETS, Budget
from dssm.reproduce.datasets import BSD_STRICT, SURFACES, DataSet
from dssm.reproduce.job import Job, Place, train
from dssm.reproduce.systems import BEST, System
from dssm.reproduce.tables import TABLES

PASTENOISE = "Figure 4: PasteNoise"
PATCHES = "Figure 9: good images, and the same with patches pasted in (outlined)"
# the figures of heat maps, and the tables whose rows they show
HEATMAPS = {"Figure 7: systems": "3", "Figure 10: patch types": "8", "Figure 11: mask types": "9"}
ERRORS = {data: f"Errors: what the preset best is most wrong about, {data.title}" for data in SURFACES}

_SIZE = (192, 448)  # about the aspect of the images
_GOOD = 3
_SHOWN = 5


def draw_figures(
    folder: Path, budget: Budget, seed: int, place: Place, *, train_missing: bool, say: Callable[[str], None]
) -> None:
    """Write all figures into a folder. Heat maps are of the strict protocol's fold `seed`, errors of every data set.

    With `train_missing`, models that are not in the run folders are trained; else their rows are left out, and a
    figure of fewer than two rows is not drawn.
    Raises InputError where there is no BSD.
    """
    data = BSD_STRICT.locate(place.data)
    images, textures = _good(data, seed), load_textures("builtin", _SIZE)
    picture.save(pastenoise(images, textures, seed), folder / file_name(PASTENOISE))
    picture.save(patches(images, textures, seed), folder / file_name(PATCHES))

    def model(title: str, system: System, where: DataSet = BSD_STRICT) -> Detector | None:
        job = Job(system, budget, where, seed)
        try:
            where.locate(place.data)
            if train_missing or job.is_trained(place.runs):
                return train(job, place)
            reason = f"{system.title} has no model in {place.runs}"
        except InputError as error:
            reason = str(error)
        say(f"left out of {title}: {reason}")
        return None

    for title, table in HEATMAPS.items():
        found = [(row.system.title, model(title, row.system)) for row in TABLES[table].rows]
        detectors = [(name, detector) for name, detector in found if detector is not None]
        if len(detectors) > 1:
            sheet = heatmaps(detectors, _defective(data, seed))
            picture.save(sheet, folder / file_name(title, budget.name))
    for where, title in ERRORS.items():
        if best := model(title, BEST, where):
            evaluation = best.evaluate(where.locate(place.data), protocol=where.protocol)
            picture.save(errors(best, evaluation), folder / file_name(title, where.name))


def file_names() -> list[tuple[str, str]]:
    """Title and file of every figure there may be."""
    return [
        *((title, file_name(title)) for title in (PASTENOISE, PATCHES)),
        *((f"{title}, budget {budget}", file_name(title, budget)) for title in HEATMAPS for budget in BUDGETS),
        *((title, file_name(title, data.name)) for data, title in ERRORS.items()),
    ]


def file_name(title: str, of: str = "") -> str:
    """figure7-quick.png, of a budget or a data set"""
    number = title.split(":")[0].lower().replace(" ", "")
    return f"{number}-{of}.png" if of else f"{number}.png"


def pastenoise(images: Tensor, textures: Tensor, seed: int) -> Image.Image:
    """I, Perlin noise, M_p, M, I_e and I_s, made by the ops one after the other."""
    index = torch.arange(len(images))
    noise = ops.perlin(index, _SIZE, seed=seed)
    above = noise > 0.5
    mask = ops.component(above)
    source = ops.augment(textures[:: len(textures) // len(images)][: len(images)], index, seed=seed)
    pasted = ops.blend(images, source, mask, torch.full((len(images),), 0.5))
    grey = ((noise + 1) * 127.5).clamp(0, 255).to(torch.uint8)[:, None]
    columns = images, grey, _white(above), _white(mask), source, pasted
    headers = ["I", "Perlin noise", "M_p: noise > 0.5", "M: largest component", "I_e", "I_s, a = 0.5"]
    return picture.sheet(list(zip(*columns, strict=True)), headers=headers)


def patches(images: Tensor, textures: Tensor, seed: int) -> Image.Image:
    """Good images, and the same with a patch of each type."""
    index, textures = torch.arange(len(images)), textures[-len(images) :]
    columns: list[list[Image.Image]] = [[picture.as_pil(image) for image in images]]
    for kind in ("noise", "scar", "patch"):
        pasted, masks, _ = ops.paste(images, textures, index, seed=seed, kind=kind, area=(0.0, 0.2))
        columns.append([picture.outline(image, mask) for image, mask in zip(pasted, masks, strict=True)])
    return picture.sheet(list(zip(*columns, strict=True)), headers=["good", "noise", "scar", "normal"])


def heatmaps(detectors: Sequence[tuple[str, Detector]], samples: Sequence[Sample]) -> Image.Image:
    """Marked test images, then a row of heat maps per system."""
    images = [read(sample.path) for sample in samples]
    rows = [[_outlined(image, sample) for image, sample in zip(images, samples, strict=True)]]
    for _, detector in detectors:
        predictions = detector.predict([sample.path for sample in samples])
        rows.append([heat(detector, image, found) for image, found in zip(images, predictions, strict=True)])
    return picture.sheet(rows, captions=["marked pitting", *(title for title, _ in detectors)])


def errors(detector: Detector, evaluation: Evaluation) -> Image.Image:
    """The defective images with the lowest scores and the good ones with the highest, each above its heat map."""
    pairs = sorted(zip(evaluation.predictions, evaluation.samples, strict=True), key=lambda pair: pair[0].score)
    worst = {
        "defective images with the lowest scores": [pair for pair in pairs if not pair[1].good][:_SHOWN],
        "good images with the highest scores": [pair for pair in pairs if pair[1].good][-_SHOWN:],
    }
    rows, captions = [], []
    for title, shown in worst.items():
        images = [read(sample.path) for _, sample in shown]
        rows += [
            [_outlined(image, sample) for image, (_, sample) in zip(images, shown, strict=True)],
            [heat(detector, image, found) for image, (found, _) in zip(images, shown, strict=True)],
        ]
        captions += [title, "heat maps"]
    return picture.sheet(rows, captions=captions)


def _outlined(image: Image.Image, sample: Sample) -> Image.Image:
    """The image with its marked defects, where they are known."""
    return picture.outline(image, read_mask(sample, image.size)) if sample.has_truth else picture.as_pil(image)


def _defective(data: Path, seed: int) -> list[Sample]:
    """Some test images, evenly spread: nothing is picked by its score."""
    found = [sample for sample in discover(data, protocol=BSD_STRICT.protocol, seed=seed).test if not sample.good]
    return [found[i * len(found) // _SHOWN] for i in range(min(_SHOWN, len(found)))]


def _good(data: Path, seed: int) -> Tensor:
    """Some training images, evenly spread."""
    found = discover(data, protocol=BSD_STRICT.protocol, seed=seed).train
    return load_images([found[i * len(found) // _GOOD] for i in range(_GOOD)], _SIZE)


def _white(masks: Tensor) -> Tensor:
    return masks.to(torch.uint8)[:, None] * 255
