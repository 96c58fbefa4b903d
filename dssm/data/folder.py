# SPDX-License-Identifier: Apache-2.0
"""A folder of good images, flat or nested: everything is for training."""

from __future__ import annotations

from pathlib import Path

from dssm.data.listing import images_below
from dssm.data.sample import Collection, Sample
from dssm.errors import InputError

LAYOUT = "folder"
PROTOCOLS: tuple[str, ...] = ()


def matches(path: Path) -> bool:
    """Any folder will do, so this layout is tried last."""
    return path.is_dir()


def read(path: Path, protocol: str | None, seed: int) -> Collection:  # noqa: ARG001
    """Take every image below `path` as a good one.

    Raises InputError when the folder looks like labelled data, whose defects must not be trained on.
    """
    images = images_below(path)
    for image in images:
        labelled = {"test", "ground_truth"}.intersection(image.relative_to(path).parts[:-1])
        if labelled:
            raise InputError(
                f"{image} lies below a folder named {labelled.pop()!r}, so not all images of {path} are good; "
                "name a folder of good images only, or one that has train/good, test and ground_truth itself"
            )
    return Collection(path.resolve().name, LAYOUT, tuple(Sample(image) for image in images))
