# SPDX-License-Identifier: Apache-2.0
"""Patch SVDD: patches whose features are far from those of all good patches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dssm.errors import InputError
from dssm.methods.method import Method
from dssm.methods.patch_svdd_network import LARGE, SMALL, STRIDES, PatchEncoder
from dssm.reference.philox import integer, philox
from dssm.scores import Moments
from dssm.scores.bank import Reservoir, nearest
from dssm.scores.maps import gaussian_blur
from dssm.settings import Settings
from dssm.training.precision import autocast

_BANK = 2**15  # good patches of each size that new ones are compared with
_LAMBDA = 1e-3  # what the authors train bottles with; at 1 all features soon coincide
_NOISE = 0.02  # deviation of the noise that hides cues to position other than content
_STREAMS = {SMALL: 8, LARGE: 9}  # of random numbers


class PatchSVDD(Method):
    """Yi and Yoon, "Patch SVDD: patch-level SVDD for anomaly detection and segmentation", ACCV 2020.

    Encoders of patches of 32x32 and 64x64 pixels learn, on good images, that patches a pixel or two apart lie together
    while eight places around a patch can be told from features alone (eq. 6):
        L = sum over both sizes of  lambda mean ||f(p) - f(p')|| + CE(C(f(p1) - f(p2)), place of p2 around p1).
    A patch's score is the distance to the nearest of the good ones, a pixel's the mean over the patches that hold it;
    the map is the product of both sizes' maps, the score its top. Each step takes one pair for each task and size from
    each image. Good patches are thinned at random to 32768 of each size to bound time and memory; the authors keep all.
    AdamW without decay is their Adam.
    """

    defaults: ClassVar[dict[str, Any]] = {
        "epochs": 30000,  # 300 of 100 patches per image
        "batch": 128,
        "optimizer": "adamw",
        "rate": 1e-4,
        "decay": 0.0,
        "smooth": 0.0,
    }
    network: PatchEncoder

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.network = PatchEncoder()
        self.banks: dict[int, Tensor] = {}  # (M, 64) by size of the patches

    def load_weights(self) -> None:
        if self.settings.weights is not None:
            raise InputError("setting weights: patch_svdd has encoders of its own; leave weights at null")

    @torch.no_grad()
    def prepare(self, batches: Iterable[Tensor]) -> None:
        moments = Moments()
        for images in batches:
            if min(images.shape[2:]) < LARGE:
                raise InputError(f"patch_svdd needs images of at least {LARGE}x{LARGE}, not {tuple(images.shape[2:])}")
            moments.update(images.float().mean((2, 3)))
        assert moments.mean is not None
        self.network.mean.copy_(moments.mean[:, None, None])

    def losses(self, images: Tensor, textures: Tensor, index: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        x = self.network.centered(images)
        terms = {}
        for size in (SMALL, LARGE):
            patches, place = draw_patches(x, index, size, self.settings.seed)
            patches[:2] += _NOISE * (torch.randn_like(patches[:2, :, :, :1, :1]) + torch.randn_like(patches[:2]))
            with autocast(images.device, self.settings.precision):
                features = self.network(patches.flatten(0, 1)).unflatten(0, patches.shape[:2])
                logits = self.network.position[str(size)](features[0] - features[1])
            terms[f"position{size}"] = F.cross_entropy(logits.float(), place)
            terms[f"svdd{size}"] = _LAMBDA * (features[2] - features[3]).float().norm(dim=1).mean()
        return terms

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        kept = {size: Reservoir(_BANK, seed=self.settings.seed) for size in STRIDES}
        for images in batches:
            for size, features in self.network.dense(images).items():
                kept[size].update(_rows(features))
        self.banks = {size: reservoir.vectors() for size, reservoir in kept.items()}

    @torch.no_grad()
    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = torch.ones(1, device=images.device)
        for size, features in self.network.dense(images).items():
            distances = nearest(_rows(features), self.banks[size])[0]
            batch, _, height, width = features.shape
            maps = maps * spread(distances.view(batch, height, width), size, STRIDES[size])
        maps = gaussian_blur(maps, self.settings.smooth * images.shape[2] / 256)
        return maps.flatten(1).amax(1), maps

    @property
    def training_heads(self) -> tuple[str, ...]:
        return ("position",)

    def fitted(self) -> dict[str, Tensor]:
        return {f"bank{size}": bank for size, bank in self.banks.items()}

    def fitted_names(self) -> set[str]:
        return {f"bank{size}" for size in STRIDES}

    def restore(self, fitted: dict[str, Tensor]) -> None:
        self.banks = {size: fitted[f"bank{size}"] for size in STRIDES}


def draw_patches(images: Tensor, index: Tensor, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Four patches of each image and, of the second, its place around the first.

    images (n, 3, H, W) -> (4, n, 3, size, size), and (n,) in 0..7: the second is a neighbour of the first, between
    three quarters of a patch and a whole one away in one of eight directions; the fourth lies next to the third, one
    or two pixels away by the size. What would leave the image stays at its border.
    """
    limit = [images.shape[2] - size, images.shape[3] - size]
    place, far, start, near = (philox(seed, index, _STREAMS[size], draw) for draw in range(4))
    *direction, which = _around(place[2], 1)
    *step, _ = _around(near[0], size // 32)
    corners = []
    for axis in (0, 1):
        first, third = integer(place[axis], 0, limit[axis] + 1), integer(start[axis], 0, limit[axis] + 1)
        second = first + direction[axis] * (3 * size // 4 + integer(far[axis], 0, size // 4))
        corners.append(torch.stack([first, second, third, third + step[axis]]).clamp(0, limit[axis]))
    rows, columns = (corner.tolist() for corner in corners)  # (4, n) each
    patches = [
        torch.stack([image[:, y : y + size, x : x + size] for image, y, x in zip(images, *places, strict=True)])
        for places in zip(rows, columns, strict=True)
    ]
    return torch.stack(patches), which


def spread(scores: Tensor, size: int, stride: int) -> Tensor:
    """Scores (B, h, w) of patches `stride` pixels apart -> (B, H, W), the mean over the patches that hold a pixel."""
    box = scores.new_ones(1, 1, size, size)
    with torch.autocast(scores.device.type, enabled=False):
        total = F.conv_transpose2d(scores[:, None], box, stride=stride)
        count = F.conv_transpose2d(torch.ones_like(scores[:1, None]), box, stride=stride)
    return (total / count)[:, 0]


def _around(word: Tensor, radius: int) -> tuple[Tensor, Tensor, Tensor]:
    """Steps (down, right) drawn from the square of this radius less its centre, and which of them it is."""
    side = 2 * radius + 1
    which = integer(word, 0, side**2 - 1)
    cell = which + (which >= side**2 // 2)
    return cell // side - radius, cell % side - radius, which


def _rows(features: Tensor) -> Tensor:
    """(B, C, h, w) -> (B h w, C)."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)
