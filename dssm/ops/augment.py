# SPDX-License-Identifier: Apache-2.0
"""The RandAugment operations that PasteNoise applies to its source."""

from __future__ import annotations

import torch

from dssm.errors import InputError
from dssm.ops import _check
from dssm.ops._op import define

_augment = define(
    "augment",
    "(Tensor image, Tensor index, int seed, int count, str backend) -> Tensor",
    fake=lambda image, *_: torch.empty_like(image, memory_format=torch.contiguous_format),
)


def augment(
    image: torch.Tensor, index: torch.Tensor, *, seed: int, count: int = 3, backend: str | None = None
) -> torch.Tensor:
    """`count` of autocontrast, posterize, solarize, sharpness, brightness and color, in a drawn order.

    image: (B, C, H, W) uint8, C 1 or 3. index: (B,) int64 sample numbers.
    seed: an integer in [0, 2^63).
    count: 0 to 6. Drawn uniformly: 4 to 7 bits for posterize, a threshold in [32, 224) for solarize, factors
    in [0.1, 1.9] for sharpness, brightness and color (which leaves one channel as it is).
    Returns uint8 of the same shape, contiguous: what Pillow's ImageOps and ImageEnhance give, bit for bit, on
    every backend.
    What happens to image i depends on (seed, index[i]) alone. Not differentiable.
    Raises InputError for other dtypes, shapes or ranges. Source: paper, section III-A; DRAEM, ICCV 2021.
    """
    _check.tensor("image", image, dims=4, dtypes=(torch.uint8,))
    _check.choice("the number of channels of image", image.shape[1], (1, 3))
    _check.index(index)
    _check.shape("index", index, image.shape[:1], "image")
    _check.same_device(image=image, index=index)
    _check.seed(seed)
    if not isinstance(count, int) or not 0 <= count <= 6:
        raise InputError(f"count must be an integer from 0 to 6, not {count!r}")
    return _augment(image, index, seed, count, backend or "")
