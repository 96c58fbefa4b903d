# SPDX-License-Identifier: Apache-2.0
"""Weights that make all regions of a mask count the same."""

from __future__ import annotations

import torch

from dssm.ops import _check
from dssm.ops._op import define

_region = define(
    "region",
    "(Tensor mask, str backend) -> Tensor",
    fake=lambda mask: mask.new_empty(mask.shape, dtype=torch.float64),
)


def region(mask: torch.Tensor, *, backend: str | None = None) -> torch.Tensor:
    """1 / area of the 8-connected region that each pixel belongs to, and zero outside: the per-region overlap's weight.

    mask (B, H, W) bool, any strides -> (B, H, W) float64. The weights of an image sum to the number of its regions, so
    their sum at or above a threshold is the overlap summed over regions. Raises InputError for wrong shapes and dtypes.
    """
    _check.tensor("mask", mask, dims=3, dtypes=(torch.bool,))
    return _region(mask, backend or "")
