# SPDX-License-Identifier: Apache-2.0
"""How well settings find defects made by hand in good images that were held out; no test image is looked at.

    python experiments/validate.py DATA --textures FOLDER [--on-part] [--preset best] [--set KEY=VALUE]...

Trains on at most 120 good images of DATA and prints, over 48 others, the metrics with two copies of each that have a
small defect, with one that has a broad one, and with one that is changed all over. `shifted` are small defects where
half of the images, good or not, are changed all over besides. The textures must be others than those that training
pastes. With --on-part defects lie on the part, where images show one in front of an even background.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import yaml
from spoil import change, parts_of, spoil, spoil_broadly
from torch import Tensor

from dssm import Detector
from dssm.data import discover, load_images, load_textures
from dssm.data.size import fit_size
from dssm.metrics import evaluate_scores
from dssm.settings import preset

TRAIN, HELD_OUT = 120, 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--textures", type=Path, required=True)
    parser.add_argument("--on-part", action="store_true")
    parser.add_argument("--protocol")
    parser.add_argument("--preset", default="best")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    changes = {key: yaml.safe_load(value) for key, value in (pair.split("=", 1) for pair in options.changes)}
    settings = preset(options.preset).replace(**changes)

    paths = [sample.path for sample in discover(options.data, protocol=options.protocol).train]
    order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(0)).tolist()
    held_out = min(HELD_OUT, len(paths) // 4)
    size = settings.size or fit_size(paths, settings.pixels)
    good = load_images([paths[i] for i in order[:held_out]], size)
    train = load_images([paths[i] for i in order[held_out : held_out + TRAIN]], size)
    textures = load_textures(options.textures, size)
    detector = Detector(settings.replace(size=size)).fit(train)
    changed = change(good)
    clean, clean_too = detector.predict(good), detector.predict(changed)
    parts = parts_of(good) if options.on_part else None

    def shuffled(*by: int) -> dict[str, Tensor | None]:
        return {"parts": None if parts is None else torch.cat([parts.roll(shift, 0) for shift in by])}

    small, small_masks, small_kinds = spoil(torch.cat([good, good.roll(3, 0)]), textures, **shuffled(0, 3))
    broad, broad_masks, broad_kinds = spoil_broadly(good.roll(5, 0), textures, **shuffled(5))
    strange = change(good.roll(9, 0), seed=9500, tint=0.2)
    both, both_masks, both_kinds = spoil(strange, textures, seed=7777, **shuffled(9))
    found, found_too = detector.predict(small), detector.predict(both)
    sets = {
        "small": (clean, found, small_masks, small_kinds),
        "broad": (clean, detector.predict(broad), broad_masks, broad_kinds),
        "shifted": (clean + clean_too, found + found_too, [*small_masks, *both_masks], small_kinds + both_kinds),
    }
    for name, (negative, positive, masks, kinds) in sets.items():
        metrics = evaluate_scores(
            [prediction.score for prediction in negative + positive],
            ["good"] * len(negative) + kinds,
            [prediction.map for prediction in negative + positive],
            [*torch.zeros(len(negative), *size, dtype=torch.bool), *masks],
        )
        report = {key: round(100 * metrics[key], 1) for key in ("image_auroc", "pixel_auroc", "pixel_aupro")}
        per_kind = {kind: round(100 * values["image_auroc"], 1) for kind, values in metrics["per_kind"].items()}
        print(json.dumps({"defects": name} | report | per_kind))
    scores = [prediction.score for prediction in clean + clean_too]
    whole = evaluate_scores(scores, ["good"] * len(clean) + ["changed"] * len(clean_too))
    print(json.dumps({"defects": "whole", "image_auroc": round(100 * whole["image_auroc"], 1)}))


if __name__ == "__main__":
    main()
