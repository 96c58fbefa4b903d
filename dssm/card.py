# SPDX-License-Identifier: Apache-2.0
"""The model card: what a trained detector is, what it was trained on, and what is known of it, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

_CARD = """\
# Model card

A detector of surface defects. It was trained on good images only, with dssm {dssm} (method {method}, torch {torch}),
and gives an image a score and a map; larger is more anomalous.

## Data

- data set: {name} (layout {layout}{protocol})
- good images: {images}, of which {held_out} chose the thresholds and did not train
- licence of the data: {licence}

## Thresholds

- an image is anomalous when its score is above {image:.6g}
- a pixel is anomalous when its map is above {pixel:.6g}

About {share:.3g} % of good images like those above may be rejected by each. No threshold says how many defects are
found: that takes images of defects, and `dssm evaluate`.

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
        share=100 * settings["false_reject"],
        measured=measured or "Nothing yet; `dssm evaluate` writes its figures here.",
        size=_size(facts["size"]),
        settings=yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=110),
    )


def _size(size: list[int] | str) -> str:
    if isinstance(size, str):
        return "the image's own size"
    return f"{size[0]}x{size[1]}, the size that images are resized to,"
