# SPDX-License-Identifier: Apache-2.0
"""Equation 3: a source mixed into an image, inside a mask."""

from __future__ import annotations

import torch

from dssm.ops import _check
from dssm.ops._op import define

_blend = define(
    "blend",
    "(Tensor image, Tensor source, Tensor mask, Tensor alpha, str backend) -> Tensor",
    fake=lambda image, *_: torch.empty_like(image, memory_format=torch.contiguous_format),
    differentiable=("image", "source", "alpha"),
)


def blend(
    image: torch.Tensor,
    source: torch.Tensor,
    mask: torch.Tensor,
    alpha: torch.Tensor,
    *,
    backend: str | None = None,
) -> torch.Tensor:
    """I_s = (1 - M) I + a M I + (1 - a) M I_e (paper, equation 3). alpha weighs the original: 1 leaves the
    image as it is.

    image, source: (B, C, H, W) of one dtype, uint8, float32, float64, bfloat16 or float16. mask: (B, H, W)
    bool.
    alpha: (B,) float32 or float64 in [0, 1].
    Returns the image's shape and dtype, contiguous; pixels outside the mask are copied. uint8 is mixed in
    16-bit fixed point, alike on every backend; half precision computes in float32.
    Differentiable in image, source (both floating) and alpha. Raises InputError for other dtypes, shapes or
    devices.
    """
    _check.images("image", image)
    _check.source(source, image)
    _check.tensor("mask", mask, dims=3, dtypes=(torch.bool,))
    _check.shape("mask", mask, (image.shape[0], *image.shape[2:]), "image")
    _check.tensor("alpha", alpha, dims=1, dtypes=(torch.float32, torch.float64))
    _check.shape("alpha", alpha, image.shape[:1], "image")
    _check.same_device(image=image, source=source, mask=mask, alpha=alpha)
    return _blend(image, source, mask, alpha, backend or "")
