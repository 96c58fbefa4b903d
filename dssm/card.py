# SPDX-License-Identifier: Apache-2.0
"""The model card: what a trained detector is, what it was trained on, and what is known of it, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from dssm.scores.false_reject import CONFIDENCE, FalseReject
from dssm.scores.threshold import GoodScores
from dssm.settings import Settings

_CARD = """\
# Model card

A detector of surface defects. It was trained on good images only, with dssm {dssm} (method {method}, torch {torch}),
and gives an image a score and a map; larger is more anomalous.

## Data

- data set: {name} (layout {layout}{protocol})
- good images: {images}, of which {held_out} were held out from training, to choose the thresholds
- licence of the data: {licence}

## Thresholds

- an image is anomalous when its score is above {image:.6g}
- a pixel is anomalous when its map is above {pixel:.6g}

The share of good images that each rejects, as good images like those above know it:

```
{rates}
```

No threshold says how many defects are found: that takes images of defects, and `dssm evaluate`. Normalised scores and
maps are 0.5 at the threshold x0: 1/2 + d / (2 (s + |d|)), d = x - x0, s a quarter of the way to x0 from what is typical
of good images ({typical_image:.6g} of scores, {typical_pixel:.6g} of maps).

## Measured

{measured}

## Limits

The model knows the part, the camera and the light that it was trained on. Anything else may score high, and a defect
that is smaller than a pixel at {size} cannot be found.

## Settings

```yaml
{settings}```
"""


def model_card(facts: Mapping[str, Any], measured: str | None = None) -> str:
    """The card as Markdown; `facts` as in model.json, `measured` Markdown on what was measured, on which images."""
    data, settings = facts["data"], facts["settings"]
    return _CARD.format(
        dssm=facts["dssm"],
        torch=facts["torch"],
        method=settings["method"],
        name=data["name"],
        layout=data.get("layout", "tensor"),
        protocol=f", protocol {data['protocol']}" if data.get("protocol") else "",
        images=data["images"],
        held_out=max(2, round(settings["holdout"] * data["images"])),
        licence=data.get("licence") or "not stated (`dssm train --licence` states it)",
        image=facts["thresholds"]["image"],
        pixel=facts["thresholds"]["pixel"],
        rates=rates_table(_rates(facts)),
        typical_image=facts["good"]["typical_image"],
        typical_pixel=facts["good"]["typical_pixel"],
        measured=measured or "Nothing yet; `dssm evaluate` writes its figures here.",
        size=_size(facts["size"]),
        settings=yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=110),
    )


def measured_in(card: str) -> str:
    """What a card says was measured."""
    return card.partition("## Measured\n\n")[2].partition("\n\n## Limits")[0]


def rates_table(rates: Mapping[str, FalseReject]) -> str:
    """The thresholds and what is known of their true false-reject rates, as text; and what it would take to keep them.

    `expected`: the rate on average over draws of as many good images, or, of a threshold set by hand, the share of them
    above it.
    """
    rows = [["", "threshold", "asked", "expected", f"{100 * CONFIDENCE:g} % interval", "good images"]]
    for name, rate in rates.items():
        asked = "by hand" if rate.asked is None else percent(rate.asked)
        interval = f"{percent(rate.low)} - {percent(rate.high)}"
        rows.append([name, f"{rate.threshold:.6g}", asked, percent(rate.expected), interval, str(rate.images)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    broken = {(rate.images, rate.asked, rate.needed) for rate in rates.values() if rate.asked and not rate.promised}
    for count, share, needed in sorted(broken):
        lines.append(
            f"{count} good images are too few for {percent(share)}, which takes {needed} that training has not seen "
            "(`dssm threshold RUN --good IMAGES`); until then the largest of their scores is the threshold"
        )
    return "\n".join(lines)


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _rates(facts: Mapping[str, Any]) -> dict[str, FalseReject]:
    rates = Settings.from_dict(facts["settings"]).false_rejects
    return GoodScores(**facts["good"]).judge(facts["thresholds"], rates, facts["by_hand"])


def _size(size: list[int] | str) -> str:
    if isinstance(size, str):
        return "the image's own size"
    return f"{size[0]}x{size[1]}, the size that images are resized to,"
