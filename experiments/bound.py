# SPDX-License-Identifier: Apache-2.0
"""Whether the features of the preset `best` show real pits: a classifier of single places that learns from marked ones.

    python experiments/bound.py DATA/bsd

For each strict fold it learns from the test images of the other two folds, marks and all, and ranks those of this one
by its highest value. No detector may do so: this says what the features allow, not what training on good images does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from dssm.data import discover, load_images
from dssm.data.size import fit_size
from dssm.evaluation import Truth
from dssm.metrics import evaluate_scores
from dssm.model import Network
from dssm.model.weights import load_weights
from dssm.scores.scorer import at_size
from dssm.settings import preset

FOLDS, STAGES = 3, 3
HIDDEN, STEPS, RATE, DECAY = 256, 1500, 1e-3, 1e-2
PITS, GOOD = 256, 768  # places per step
GOOD_PER_IMAGE = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    folds = [places_of(options.data, fold) for fold in range(FOLDS)]
    found = []
    for fold, (features, _, good) in enumerate(folds):
        others = [other for i, other in enumerate(folds) if i != fold]
        classify = learn([torch.cat(parts) for parts in zip(*others, strict=True)])
        with torch.no_grad():
            tops = torch.stack([classify(image.float()).amax() for image in features])
        kinds = ["good" if is_good else "pitting" for is_good in good]
        found.append(100 * evaluate_scores(tops.tolist(), kinds)["image_auroc"])
        print(f"fold {fold}: image AUROC {found[-1]:.1f}")
    print(f"mean: {sum(found) / len(found):.1f}")


@torch.no_grad()
def places_of(data: Path, fold: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of a fold's test images: features (n, h, w, C) at 1/8, which places hold marked pixels, which images are good."""
    settings = preset("best")
    collection = discover(str(data), protocol="strict", seed=fold)
    size = fit_size([sample.path for sample in collection.train], settings.pixels)
    network = Network(settings).eval()
    load_weights(network.backbone, "imagenet")
    truth = Truth(collection.test, size)
    features, marks = [], []
    for i, sample in enumerate(tqdm(collection.test, desc=f"fold {fold}", unit="image")):
        stages = network.stages(load_images([sample.path], size))[:STAGES]
        grid = (stages[1].shape[2], stages[1].shape[3])
        features.append(at_size(stages, grid)[0].permute(1, 2, 0).half())
        marks.append(F.adaptive_max_pool2d(torch.as_tensor(truth[i])[None, None].float(), grid)[0, 0] > 0)
    return torch.stack(features), torch.stack(marks), torch.tensor([sample.good for sample in collection.test])


def learn(places: list[Tensor]) -> Callable[[Tensor], Tensor]:
    """Teaches a network of one hidden layer to tell pits from places of good images: features -> logits."""
    features, marks, good = places
    pits = features[marks].float()
    ordinary = features[good].flatten(1, 2)
    drawn = torch.rand(ordinary.shape[:2]).argsort(1)[:, :GOOD_PER_IMAGE, None].expand(-1, -1, ordinary.shape[2])
    ordinary = ordinary.gather(1, drawn).flatten(0, 1).float()
    mean, deviation = ordinary.mean(0), ordinary.std(0)
    network = nn.Sequential(nn.Linear(len(mean), HIDDEN), nn.ReLU(), nn.Dropout(0.3), nn.Linear(HIDDEN, 1))
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    labels = torch.cat([torch.ones(PITS), torch.zeros(GOOD)])
    for _ in range(STEPS):
        chosen = torch.cat([some[torch.randint(len(some), (n,))] for some, n in ((pits, PITS), (ordinary, GOOD))])
        logits = network((chosen - mean) / deviation).squeeze(1)
        loss = F.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    return lambda x: network((x - mean) / deviation)


if __name__ == "__main__":
    main()
