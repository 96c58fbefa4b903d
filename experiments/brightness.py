# SPDX-License-Identifier: Apache-2.0
"""How bright the images of a data set are, and how well that alone would rank its test images.

    python experiments/brightness.py DATA

The score is how far the mean grey value of an image lies from the mean of the training images.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from dssm.data import Sample, discover, load_images
from dssm.metrics import evaluate_scores

SIZE = (128, 128)


def main() -> None:
    collection = discover(sys.argv[1])
    kinds = ["good" if sample.good else "defective" for sample in collection.test]
    train, test = brightness(collection.train), brightness(collection.test)
    good = np.array(kinds) == "good"
    for name, values in (("training", train), ("good, test", test[good]), ("defective, test", test[~good])):
        print(f"{name}: {values.mean():.1f} ± {values.std():.1f}")
    score = abs(test - train.mean())
    print(f"image AUROC of the distance to training: {100 * evaluate_scores(score.tolist(), kinds)['image_auroc']:.1f}")


def brightness(samples: Sequence[Sample]) -> np.ndarray:
    """The mean value of each image, 0 to 255."""
    return np.array([load_images([sample.path], SIZE).float().mean().item() for sample in samples])


if __name__ == "__main__":
    main()
