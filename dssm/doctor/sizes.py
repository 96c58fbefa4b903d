# SPDX-License-Identifier: Apache-2.0
"""Widths, heights, channels and bits: what is usual, what is odd, and what gives the defective ones away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from dssm.doctor.finding import Finding, Mark, number, verb
from dssm.doctor.look import Look

STRETCHED = 1.25  # ratio of width to height, against the usual one, from which a fixed size distorts visibly
SCALED = 2.0  # side, against the usual one, from which a defect changes its size visibly
VARIED = 0.25  # share of such images from which none of them is odd
GIVEN_AWAY = 0.1  # share of defective images of sizes no good one has, beyond that of the good test images


def sizes(looks: Sequence[Look]) -> list[Finding]:
    """A note on what there is, and warnings of what differs."""
    if not looks:
        return []
    return [_usual(looks), *_odd(looks), *_telling(looks), *_mixed(looks)]


def typical(looks: Sequence[Look]) -> tuple[float, float]:
    """Median width and height of the images for training, or of all where there are none."""
    chosen = [look for look in looks if look.training] or looks
    return median(look.width for look in chosen), median(look.height for look in chosen)


def _usual(looks: Sequence[Look]) -> Finding:
    found = Counter((look.width, look.height) for look in looks)
    modes = Counter(f"{look.mode} of {look.bits} bit{'s' if look.bits > 1 else ''}" for look in looks)
    width, height = typical(looks)
    if len(found) == 1:
        what = f"all images are {width:.0f}x{height:.0f} pixels (width x height)"
    elif len(found) <= 4:
        what = "sizes: " + ", ".join(f"{w}x{h} ({count:,})" for (w, h), count in found.most_common())
    else:
        (narrow, wide), (low, high) = ((min(side), max(side)) for side in zip(*found, strict=True))
        what = f"{len(found):,} sizes, {narrow} to {wide} wide and {low} to {high} high"
        what += f"; typical {width:.0f}x{height:.0f}"
    stored = ", ".join(f"{mode} ({count:,})" if len(modes) > 1 else mode for mode, count in modes.most_common())
    return Finding("note", "size", f"{what}; {stored}", "")


def _odd(looks: Sequence[Look]) -> list[Finding]:
    width, height = typical(looks)
    marks = []
    for look in looks:
        shape = (look.width / look.height) / (width / height)
        scale = ((look.width * look.height) / (width * height)) ** 0.5
        if not 1 / STRETCHED <= shape <= STRETCHED or not 1 / SCALED <= scale <= SCALED:
            marks.append(Mark(look.path, f"{look.width}x{look.height}, typical {width:.0f}x{height:.0f}"))
    if not marks:
        return []
    todo = "all are stretched to one size: crop them alike, or keep their sizes: --size native --tile 256"
    if len(marks) > VARIED * len(looks):
        what = f"sizes and shapes vary: {number(len(marks), 'image')} of {len(looks):,} are far from the typical one"
        return [Finding("warning", "size", what, todo)]
    what = f"{number(len(marks), 'image')} {verb(len(marks), 'has', 'have')} another size or shape than most"
    return [Finding("warning", "size", what, todo, tuple(marks))]


def _telling(looks: Sequence[Look]) -> list[Finding]:
    """Where defective images come from another camera, it is the camera that a test finds."""
    known = {(look.width, look.height) for look in looks if look.training}
    defective = [look for look in looks if not look.good]
    good = [look for look in looks if look.good and not look.training]
    if not known or not defective:
        return []
    foreign = [look for look in defective if (look.width, look.height) not in known]
    foreign_good = [look for look in good if (look.width, look.height) not in known]
    if len(foreign) / len(defective) - len(foreign_good) / max(len(good), 1) <= GIVEN_AWAY:
        return []
    marks = tuple(Mark(look.path, f"{look.width}x{look.height}, {look.role}") for look in foreign)
    what = f"{len(marks):,} of {number(len(defective), 'defective image')} have a size that no training image has"
    todo = "test on images of one camera: otherwise the figures tell cameras apart, not defects"
    return [Finding("warning", "size", what, todo, marks)]


def _mixed(looks: Sequence[Look]) -> list[Finding]:
    found = []
    tinted = Counter("grey" in look.mode for look in looks)
    if len(tinted) > 1:
        rare = tinted.most_common()[-1][0]
        marks = tuple(Mark(look.path, look.mode) for look in looks if ("grey" in look.mode) == rare)
        kind = "grey" if rare else "coloured"
        what = f"{number(len(marks), 'image')} {verb(len(marks), 'is', 'are')} {kind}, the others not"
        found.append(Finding("warning", "channels", what, "take all with one camera and one format", marks))
    see_through = tuple(Mark(look.path, look.mode) for look in looks if "alpha" in look.mode)
    if see_through:
        what = f"{number(len(see_through), 'image')} {verb(len(see_through), 'has', 'have')} an alpha channel"
        found.append(Finding("note", "channels", what, "it is ignored: what lies below it is seen", see_through))
    return found
