# SPDX-License-Identifier: Apache-2.0
"""What a data set is: image files, each good or of a defect class, split into training and test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

GOOD = "good"


@dataclass(frozen=True)
class Sample:
    """One image: its file, its kind (GOOD or the name of a defect class) and the file that marks its defects.

    `mask` is an image of the same size, or labelme JSON with polygons. It is None for a good image, and for a
    defective one whose defects nobody marked.
    """

    path: Path
    kind: str = GOOD
    mask: Path | None = None

    @property
    def good(self) -> bool:
        return self.kind == GOOD

    @property
    def has_truth(self) -> bool:
        """Whether it is known of every pixel if it is defective."""
        return self.good or self.mask is not None


@dataclass(frozen=True)
class Collection:
    """A data set: `train` holds good images only, `test` may be empty; `layout` says how it lay on the disk."""

    name: str
    layout: str
    train: tuple[Sample, ...]
    test: tuple[Sample, ...] = ()
    protocol: str | None = None  # how it was split, where there is more than one way

    @property
    def has_masks(self) -> bool:
        """Whether pixel metrics mean anything: some defective test image has a mask."""
        return any(sample.mask is not None for sample in self.test)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The defect classes of the test images, sorted."""
        return tuple(sorted({sample.kind for sample in self.test if not sample.good}))


def draw(samples: list[Sample], count: int, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Split `samples` at random into `count` of them and the rest, both in their old order.

    A sample's rank is a hash of seed and file name, so the draw depends on no library's random numbers.
    """

    def rank(sample: Sample) -> bytes:
        return hashlib.sha256(f"{seed}/{sample.path.name}".encode()).digest()

    drawn = set(sorted(samples, key=rank)[:count])
    return [s for s in samples if s in drawn], [s for s in samples if s not in drawn]
