# SPDX-License-Identifier: Apache-2.0
"""How many good images there are, and what a threshold chosen from them can promise."""

from __future__ import annotations

import math

from dssm.detector import LEAST_IMAGES
from dssm.doctor.finding import Finding, number
from dssm.scores.false_reject import of_rank
from dssm.settings import Settings


def amount(count: int, settings: Settings) -> list[Finding]:
    """`count` good images for training.

    The largest of the n scores held out for the threshold is exceeded by a new good image with probability
    1 / (n + 1), and no threshold chosen from them promises less (`dssm.scores.threshold`).
    """
    if count < LEAST_IMAGES:
        what = f"{number(count, 'good image')} can be read for training"
        return [Finding("problem", "amount", what, f"give at least {LEAST_IMAGES}; some hundreds are better")]
    held_out = held(count, settings.holdout)
    best, wanted = 1 / (held_out + 1), min(settings.false_rejects.values())
    judged = of_rank(range(held_out), wanted)
    what = (
        f"{held_out} of {number(count, 'good image')} choose the threshold, which can promise to reject at most "
        f"1 good part in {held_out + 1} ({100 * best:.2g} %)"
    )
    if judged.promised:
        return [Finding("note", "amount", f"{what}; {100 * wanted:g} % is asked for", "")]
    what += f"; {100 * wanted:g} % is asked for"
    todo = f"give {math.ceil(judged.needed / settings.holdout):,} good images"
    if judged.needed <= count / 2:
        todo += f", or hold out more of them: --set holdout={math.ceil(100 * judged.needed / count) / 100:.2f}"
    return [Finding("warning", "amount", what, todo)]


def held(count: int, share: float) -> int:
    """How many of the good images `Detector.fit` keeps for the threshold."""
    return max(2, round(share * count))
