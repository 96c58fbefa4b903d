# SPDX-License-Identifier: Apache-2.0
"""What training takes each file for, and what it passes over."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from PIL import Image

from dssm.data import Collection, Sample, discover
from dssm.data.image import read_mask, read_size
from dssm.data.listing import SUFFIXES, is_image
from dssm.doctor.finding import Finding, Mark, number, verb
from dssm.doctor.look import role
from dssm.errors import InputError

UNKNOWN = "unknown"
MEANT_GOOD = frozenset({"good", "ok", "normal", "io"})  # a class of one of these names is hardly a defect
MEANT_BAD = frozenset({"bad", "ng", "nok", "nio", "defect", "defects", "defective", "anomaly", "reject", "rejects"})
GROUND_TRUTH = "ground_truth"


def listed(data: str, protocol: str | None, seed: int) -> tuple[Collection, list[Finding]]:
    """The data set as `discover` reads it; what contradicts itself becomes a problem, with all images of no known role.

    Raises InputError where there is no image at all.
    """
    try:
        return discover(data, protocol=protocol, seed=seed), []
    except InputError as error:
        path = Path(data)
        if not path.is_dir() or protocol is not None:
            raise
        images = [file for file in _files(path) if is_image(file) and GROUND_TRUTH not in file.relative_to(path).parts]
        if not images:
            raise
        unknown = tuple(Sample(image, UNKNOWN) for image in images)
        problem = Finding("problem", "layout", str(error), "training stops here; mend this first")
        return Collection(path.resolve().name, UNKNOWN, (), unknown), [problem]


def roles(collection: Collection) -> dict[str, int]:
    """How many images each role has: `train good`, `test good`, `test scratch` ..."""
    pairs = [(sample, True) for sample in collection.train] + [(sample, False) for sample in collection.test]
    return dict(Counter(role(sample, training) for sample, training in pairs))


def left_out(collection: Collection, root: Path) -> list[Finding]:
    """Pictures that are passed over, and folders whose names say otherwise than their place."""
    samples = (*collection.train, *collection.test)
    taken = {sample.path for sample in samples} | {sample.mask for sample in samples}
    pictures = SUFFIXES | Image.registered_extensions().keys() - {".pdf"}
    marks = [
        Mark(path, "not used" if path.suffix.lower() in SUFFIXES else f"dssm does not read {path.suffix}")
        for path in _files(root)
        if path not in taken and path.suffix.lower() in pictures
    ]
    found = []
    if marks and collection.layout != UNKNOWN:
        what = f"{number(len(marks), 'picture')} {verb(len(marks), 'is', 'are')} neither trained on nor tested"
        todo = f"check that this is meant: the folder was read as layout {collection.layout}"
        found.append(Finding("note", "layout", what, todo, tuple(marks)))
    for kind in collection.kinds:
        if kind.casefold() in MEANT_GOOD:
            what = f"test/{kind} counts as a class of defects"
            found.append(Finding("warning", "layout", what, "rename the folder to good if its images are"))
    if collection.layout == "folder":
        bad = {
            part
            for sample in collection.train
            for part in sample.path.relative_to(root).parts[:-1]
            if part.casefold() in MEANT_BAD
        }
        for part in sorted(bad):
            what = f"images in a folder named {part} count as good, as all below {root.name} do"
            found.append(Finding("problem", "layout", what, "move it out: training learns them as good"))
    return found


def masks(collection: Collection) -> list[Finding]:
    """Masks that are broken, of another size than their images, or black all over."""
    broken, black = [], []
    for sample in collection.test:
        if sample.mask is None:
            continue
        try:
            size = read_size(sample.path)
        except InputError:
            continue  # the image is reported as unreadable
        try:
            if not read_mask(sample, size).any():
                black.append(Mark(sample.path, f"{sample.mask.name} marks nothing"))
        except InputError as error:
            broken.append(Mark(sample.path, str(error)))
    found = []
    if broken:
        what = f"{number(len(broken), 'mask')} cannot be used; the first: {broken[0].why}"
        found.append(Finding("problem", "mask", what, "mend or remove them, with their images", tuple(broken)))
    if black:
        what = number(len(black), "defective image")
        what += verb(len(black), " has a mask that marks nothing", " have masks that mark nothing")
        todo = "draw the defects, or move the images to test/good"
        found.append(Finding("warning", "mask", what, todo, tuple(black)))
    return found


def _files(root: Path) -> list[Path]:
    """All visible files below a folder, sorted."""
    found = []
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return sorted(found)
