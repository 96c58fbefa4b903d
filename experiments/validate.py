# SPDX-License-Identifier: Apache-2.0
"""How well settings find defects made by hand in good images that were held out; no test image is looked at.

    python experiments/validate.py DATA --textures FOLDER [--preset best] [--set KEY=VALUE]...

Trains on at most 120 good images of DATA and prints the metrics over 48 others and two spoiled copies of each.
The textures must be others than those that training pastes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import yaml
from spoil import UNSEEN, spoil

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
    parser.add_argument("--protocol")
    parser.add_argument("--preset", default="best")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    changes = {key: yaml.safe_load(value) for key, value in (change.split("=", 1) for change in options.changes)}
    settings = preset(options.preset).replace(**changes)

    paths = [sample.path for sample in discover(options.data, protocol=options.protocol).train]
    order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(0)).tolist()
    held_out = min(HELD_OUT, len(paths) // 4)
    size = settings.size or fit_size(paths, settings.pixels)
    good = load_images([paths[i] for i in order[:held_out]], size)
    train = load_images([paths[i] for i in order[held_out : held_out + TRAIN]], size)
    bad, masks, kinds = spoil(torch.cat([good, good.roll(3, 0)]), load_textures(options.textures, size))

    detector = Detector(settings.replace(size=size)).fit(train)
    predictions = detector.predict(torch.cat([good, bad]))
    metrics = evaluate_scores(
        [prediction.score for prediction in predictions],
        ["good"] * len(good) + kinds,
        [prediction.map for prediction in predictions],
        [*torch.zeros(len(good), *size, dtype=torch.bool), *masks],
    )
    per_kind = {kind: round(100 * values["image_auroc"], 1) for kind, values in metrics["per_kind"].items()}
    found = {key: round(100 * metrics[key], 1) for key in ("image_auroc", "pixel_auroc", "pixel_aupro")}
    print(json.dumps(found | {"unseen": round(sum(per_kind[kind] for kind in UNSEEN) / len(UNSEEN), 1)} | per_kind))


if __name__ == "__main__":
    main()
