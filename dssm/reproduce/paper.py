# SPDX-License-Identifier: Apache-2.0
"""The numbers of the paper's Tables 4 and 5, AUROC in percent, per system and category of MVTec AD."""

from __future__ import annotations

from collections.abc import Mapping

from dssm.reproduce.datasets import CATEGORIES

Numbers = Mapping[str, Mapping[str, float]]  # data set -> measure -> percent

_IMAGE = {
    "students": "93.10 81.80 96.80 96.50 94.20 96.10 94.20 93.30 66.60 95.10 87.90 95.20 94.50 94.60 91.10",
    "patch-svdd": "98.60 90.30 76.70 92.00 94.00 86.10 81.30 100 91.50 97.90 92.90 94.60 90.90 97.80 96.50",
    "cutpaste": "98.30 80.60 96.20 97.30 99.30 92.40 86.30 98.30 95.50 99.40 93.10 99.90 100 93.40 98.60",
    "sspcab": "98.60 82.90 98.10 98.30 99.60 95.30 90.80 98.80 96.50 99.10 90.70 99.90 100 94.00 99.20",
    "cdo": "100 97.43 91.78 98.21 98.53 94.35 82.97 89.17 94.54 97.74 97.75 96.49 100 98.77 99.04",
    "ours": "100 95.60 85.84 99.64 96.48 95.23 81.88 99.72 96.71 98.90 97.19 98.07 100 99.86 99.03",
}
_PIXEL = {
    "patch-svdd": "98.10 96.80 95.80 97.50 98.00 95.10 95.70 98.10 97.00 95.10 92.60 96.20 97.40 91.40 90.80",
    "cutpaste": "97.60 90.00 97.40 97.30 93.10 95.70 96.70 98.10 93.00 99.30 98.30 97.50 99.50 90.50 95.50",
    "padim": "98.10 95.80 98.30 97.70 96.70 94.70 97.40 98.70 97.20 98.20 98.90 94.90 99.10 91.20 93.60",
    "cdo": "98.99 96.71 98.50 98.94 97.18 96.86 98.31 98.70 97.50 98.42 98.78 97.49 99.05 95.52 96.04",
    "ours": "96.64 96.83 97.72 98.03 96.48 97.30 98.32 97.45 97.28 97.73 98.79 96.54 99.10 95.54 95.38",
}


def mvtec(system: str, measure: str) -> Numbers:
    """What the paper reports of a system, `image_auroc` or `pixel_auroc`; empty where it reports nothing."""
    line = {"image_auroc": _IMAGE, "pixel_auroc": _PIXEL}[measure].get(system, "")
    return {name: {measure: float(value)} for name, value in zip(CATEGORIES, line.split(), strict=bool(line))}


def bsd(image: float, pixel: float) -> Numbers:
    """What the paper reports on BSD."""
    return {"bsd-paper": {"image_auroc": image, "pixel_auroc": pixel}}
