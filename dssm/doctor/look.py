# SPDX-License-Identifier: Apache-2.0
"""One image file, read once and remembered by a few numbers and a tiny grey copy: memory for thousands."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from dssm.data import read
from dssm.data.cache import THREADS
from dssm.data.image import read_format
from dssm.data.sample import Sample
from dssm.errors import InputError

THUMBNAIL = 32


@dataclass(frozen=True)
class Look:
    """What is remembered of an image; brightness, contrast and the rest are in levels of 0..255."""

    sample: Sample
    training: bool
    width: int
    height: int
    mode: str  # grey, colour, ... with alpha
    bits: int  # per channel
    highest: int  # the highest value of any channel, after 16 bits became 8
    brightness: float  # mean luminance
    contrast: float  # its standard deviation
    red: float  # mean of red - green: with the next, how the image is tinted
    blue: float  # mean of blue - green
    thumbnail: np.ndarray  # (32, 32) uint8 luminance

    @property
    def path(self) -> Path:
        return self.sample.path

    @property
    def good(self) -> bool:
        return self.sample.good

    @property
    def role(self) -> str:
        """What training and evaluation take the image for."""
        return role(self.sample, self.training)


def role(sample: Sample, training: bool) -> str:
    """`train good`, `test good`, `test scratch` ..."""
    return f"{'train' if training else 'test'} {sample.kind}"


def look(sample: Sample, training: bool) -> Look:
    """Read an image as training does; raises InputError where training would."""
    mode, bits = read_format(sample.path)
    image = read(sample.path)
    colours = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR), dtype=np.float32)
    red, green, blue = colours.mean((0, 1)).tolist()
    grey = image.convert("L")
    luminance = np.asarray(grey.resize((64, 64), Image.Resampling.BILINEAR), dtype=np.float32)
    return Look(
        sample=sample,
        training=training,
        width=image.width,
        height=image.height,
        mode=mode,
        bits=bits,
        highest=int(np.max(image.getextrema())),
        brightness=float(luminance.mean()),
        contrast=float(luminance.std()),
        red=red - green,
        blue=blue - green,
        thumbnail=np.asarray(grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)),
    )


def look_at(
    train: Sequence[Sample], test: Sequence[Sample], *, progress: bool = False
) -> tuple[list[Look], dict[Path, str]]:
    """All images that can be read, in order, and why the others cannot, by a few threads."""
    jobs = [(sample, True) for sample in train] + [(sample, False) for sample in test]

    def attempt(job: tuple[Sample, bool]) -> Look | InputError:
        try:
            return look(*job)
        except InputError as error:
            return error

    seen, broken = [], {}
    with ThreadPoolExecutor(THREADS) as pool:
        bar = tqdm(pool.map(attempt, jobs), desc="images", total=len(jobs), unit="image", disable=not progress)
        for (sample, _), found in zip(jobs, bar, strict=True):
            if isinstance(found, Look):
                seen.append(found)
            else:
                broken[sample.path] = str(found)
    return seen, broken
