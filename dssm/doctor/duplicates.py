# SPDX-License-Identifier: Apache-2.0
"""The same picture twice: copied, saved again, made smaller or brighter; or two shots of a part that did not move.

Aligned parts of one product look alike, so a fixed likeness tells nothing. Thumbnails are compared by what is left
without their coarse light and without what all of them share, and two are the same picture where they are far closer
than their other neighbours are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from dssm.doctor.finding import Finding, Level, Mark, number
from dssm.doctor.look import Look

SIGMA = 2.0  # of the blur that stands for the light, in pixels of the thumbnail
NEIGHBOUR = 10  # how far the neighbours of an image usually are: the distance of this one
CLOSER = 25  # times closer than that is the same picture ...
SURE, POSSIBLE = 0.0015, 0.02  # ... as it is below the first distance anyway, and above the second never
FEW = 20  # images that share no usual distance and no mean
BLOCK = 512  # images compared at once with all others


def copies(looks: Sequence[Look]) -> list[Finding]:
    """Groups of the same picture, by what they spoil."""
    contrary: list[list[Look]] = []
    crossing: list[list[Look]] = []
    trained: list[list[Look]] = []
    tested: list[list[Look]] = []
    for group in same_pictures(np.stack([look.thumbnail for look in looks])) if looks else []:
        images = [looks[i] for i in group]
        if len({look.good for look in images}) > 1:
            contrary.append(images)
        elif len({look.training for look in images}) > 1:
            crossing.append(images)
        else:
            (trained if images[0].training else tested).append(images)
    return [
        *_finding("problem", contrary, "count as good and as defective", "look at them, and keep what is right"),
        *_finding(
            "problem",
            crossing,
            "are both trained on and tested",
            "keep each picture on one side: such a test measures memory",
        ),
        *_finding(
            "warning",
            trained,
            "are trained on more than once",
            "keep one of each: copies weigh double, and one that is held out of training makes the threshold too low",
        ),
        *_finding("note", tested, "are tested more than once", "keep one of each: the test is smaller than it looks"),
    ]


def same_pictures(thumbnails: np.ndarray) -> list[list[int]]:
    """Indices of thumbnails (N, h, w) that show the same picture, in groups, each sorted.

    The distance of two is 1 - r, r the correlation of their details.
    """
    details = _details(thumbnails)
    count = len(details)
    rank = min(NEIGHBOUR, count - 1)
    leader = list(range(count))

    def root(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    for start in range(0, count if rank > 0 else 0, BLOCK):
        distance = 1 - details[start : start + BLOCK] @ details.T
        rows = np.arange(len(distance))
        distance[rows, start + rows] = np.inf
        usual = np.partition(distance, rank - 1, axis=1)[:, rank - 1]
        limit = np.clip(usual / CLOSER, SURE, POSSIBLE) if count > FEW else np.full(len(rows), SURE)
        for i, j in np.argwhere(distance <= limit[:, None]).tolist():
            leader[root(max(start + i, j))] = root(min(start + i, j))
    groups = defaultdict(list)
    for i in range(count):
        groups[root(i)].append(i)
    return [group for group in groups.values() if len(group) > 1]


def _details(thumbnails: np.ndarray) -> np.ndarray:
    """(N, h w) float32 of length one: what is left of each without coarse light, contrast, and the mean of all.

    An image without details is zero: it is like no other.
    """
    blur = _blur(thumbnails.shape[1])
    images = thumbnails.astype(np.float32)
    images -= blur @ images @ blur.T
    flat = images.reshape(len(images), -1)
    flat /= flat.std(axis=1, keepdims=True) + 0.05  # levels: less than the rounding of a thumbnail leaves
    if len(flat) > FEW:
        flat -= flat.mean(axis=0)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.maximum(length, 1.0)


def _blur(side: int) -> np.ndarray:
    """The (side, side) matrix that blurs along one axis."""
    offsets = np.arange(side, dtype=np.float32)
    weights = np.exp(-((offsets[:, None] - offsets) ** 2) / (2 * SIGMA**2))
    return weights / weights.sum(axis=1, keepdims=True)


def _finding(level: Level, groups: list[list[Look]], they: str, todo: str) -> list[Finding]:
    if not groups:
        return []
    marks = tuple(Mark(look.path, f"picture {n}, {look.role}") for n, g in enumerate(groups, 1) for look in g)
    what = f"{number(len(marks), 'file')} of {number(len(groups), 'picture')} {they}"
    return [Finding(level, "copies", what, todo, marks)]
