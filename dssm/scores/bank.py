# SPDX-License-Identifier: Apache-2.0
"""A bank of good features: how far a place is from the nearest of them, wherever in the image it lies."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dssm.scores.gaussian import Moments
from dssm.scores.neighbors import Reservoir, coreset, nearest

POOL = 60_000  # vectors that the bank is chosen from
RIDGE = 0.01  # of the mean variance, added to every variance: directions that hardly vary must not decide


@dataclass
class Bank:
    """M good vectors (M, C), whitened: W (x - mean), with W^T W the inverse of the covariance of all; float32.

    PatchCore (Roth et al., CVPR 2022) with Mahalanobis in the place of Euclidean distances: what varies little among
    good places counts more.
    """

    mean: Tensor
    whiten: Tensor
    vectors: Tensor

    def distance(self, x: Tensor) -> Tensor:
        """Distance to the nearest vector: (B, C, H, W) -> (B, H, W) float32."""
        batch, _, height, width = x.shape
        flat = x.float().permute(0, 2, 3, 1).flatten(0, 2)
        return nearest((flat - self.mean) @ self.whiten.T, self.vectors)[0].view(batch, height, width)


def make_bank(sample: Reservoir, size: int, *, seed: int, progress: bool = False) -> Bank:
    """The `size` vectors of a sample of good ones that cover it best, whitened.

    Raises InputError where the sample is empty or holds values that are not finite.
    """
    vectors = sample.vectors()
    moments = Moments()
    moments.update(vectors)
    gaussian = moments.gaussian(ridge=RIDGE)
    white = (vectors - gaussian.mean) @ gaussian.whiten.T
    return Bank(gaussian.mean, gaussian.whiten, white[coreset(white, size, seed=seed, progress=progress)])
