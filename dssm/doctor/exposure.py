# SPDX-License-Identifier: Apache-2.0
"""Images that are darker, flatter or of another tint than the good ones usually are; empty ones; wasted bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dssm.doctor.finding import Finding, Level, Mark, number, verb
from dssm.doctor.look import Look

MEASURES = {"brightness": "brightness", "contrast": "contrast", "red": "red - green", "blue": "blue - green"}
FAR = 6.0  # robust standard deviations
LEAST_SPREAD = 2.0  # levels of 0..255: where all images are alike, what is below FAR times this is no matter
EMPTY = 1.5  # standard deviation, in levels, below which nothing can be seen
WASTED = 63  # of 255, the highest value of 14 bits that lie in the low bits of 16


def exposure(looks: Sequence[Look]) -> list[Finding]:
    """Outliers by robust z-scores, (x - median) / (1.4826 median |x - median|), both medians over good images."""
    return [*_odd(looks), *_empty(looks), *_wasted(looks)]


def _odd(looks: Sequence[Look]) -> list[Finding]:
    usual = [look for look in looks if look.training] or [look for look in looks if look.good] or looks
    if len(usual) < 3:
        return []
    reasons: dict[int, tuple[float, str]] = {}
    for measure, name in MEASURES.items():
        centre = float(np.median([getattr(look, measure) for look in usual]))
        spread = 1.4826 * float(np.median([abs(getattr(look, measure) - centre) for look in usual]))
        for i, look in enumerate(looks):
            value = getattr(look, measure)
            z = abs(value - centre) / max(spread, LEAST_SPREAD)
            if z > max(FAR, reasons.get(i, (0.0, ""))[0]):
                reasons[i] = z, f"{name} {value:.0f}, usually {centre:.0f}"
    order = sorted(reasons, key=lambda i: -reasons[i][0])

    def finding(level: Level, which: str, todo: str, chosen: list[int]) -> list[Finding]:
        if not chosen:
            return []
        marks = tuple(Mark(looks[i].path, reasons[i][1]) for i in chosen)
        count = number(len(chosen), f"{which} image")
        what = f"{count} {verb(len(chosen), 'has', 'have')} another brightness, contrast or tint than usual"
        return [Finding(level, "exposure", what, todo, marks)]

    return [
        *finding(
            "warning",
            "training",
            "remove what the line does not make: training takes it for good",
            [i for i in order if looks[i].training],
        ),
        *finding(
            "warning",
            "good test",
            "expect a false alarm, and train on some alike if the line makes such images",
            [i for i in order if looks[i].good and not looks[i].training],
        ),
        *finding(
            "note",
            "defective",
            "unless the defect does it, the light gives them away and the figures look better than they are",
            [i for i in order if not looks[i].good],
        ),
    ]


def _empty(looks: Sequence[Look]) -> list[Finding]:
    flat = [look for look in looks if look.contrast < EMPTY]
    if not flat:
        return []
    marks = tuple(Mark(look.path, f"contrast {look.contrast:.1f} of 255") for look in flat)
    what = f"{number(len(flat), 'image')} {verb(len(flat), 'shows', 'show')} next to nothing"
    return [Finding("warning", "empty", what, "remove them: a cover, a missing part or no light?", marks)]


def _wasted(looks: Sequence[Look]) -> list[Finding]:
    deep = [look for look in looks if look.bits == 16]
    highest = max((look.highest for look in deep), default=255)
    if highest > WASTED:
        return []
    what = f"the 16-bit images use only the lowest {highest + 1} of 256 steps: a camera of fewer bits wrote them"
    return [
        Finding("problem", "bits", what, "scale the values to 0..65535 when saving: 16 bits are read as they stand")
    ]
