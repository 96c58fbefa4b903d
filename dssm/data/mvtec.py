# SPDX-License-Identifier: Apache-2.0
"""The layout of MVTec AD: train/good, test/good, test/CLASS and ground_truth/CLASS."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from dssm.data.listing import entries, images_in, is_image, subfolders
from dssm.data.sample import GOOD, Collection, Sample
from dssm.errors import InputError

LAYOUT = "mvtec"
PROTOCOLS: tuple[str, ...] = ()


def matches(path: Path) -> bool:
    return (path / "train" / GOOD).is_dir()


def read(path: Path, protocol: str | None, seed: int) -> Collection:  # noqa: ARG001
    """Read the split as it lies on the disk; test and ground_truth, or single classes of it, may be missing.

    The mask of test/CLASS/NAME.jpg is ground_truth/CLASS/NAME.* or NAME_mask.*. A class without a folder of masks has
    none; in a class with one, an image without a mask or with two raises InputError.
    """
    train = tuple(Sample(image) for image in images_in(path / "train" / GOOD))
    classes = subfolders(path / "test") if (path / "test").is_dir() else []
    test = [sample for folder in classes for sample in _read_class(folder, path / "ground_truth" / folder.name)]
    return Collection(path.resolve().name, LAYOUT, train, tuple(test))


def _read_class(folder: Path, masks: Path) -> list[Sample]:
    images, kind = images_in(folder), folder.name
    if kind == GOOD or not masks.is_dir():
        return [Sample(image, kind) for image in images]
    by_stem = defaultdict(list)
    for mask in entries(masks):
        if is_image(mask):
            by_stem[mask.stem].append(mask)
    return [Sample(image, kind, _only_mask(image, masks, by_stem)) for image in images]


def _only_mask(image: Path, masks: Path, by_stem: dict[str, list[Path]]) -> Path:
    found = by_stem.get(image.stem, []) + by_stem.get(f"{image.stem}_mask", [])
    if not found:
        raise InputError(f"{image} has no mask {image.stem}_mask.png in {masks}; add it, or remove the folder of masks")
    if len(found) > 1:
        raise InputError(f"{image} has two masks, {found[0]} and {found[1].name}; keep one")
    return found[0]
