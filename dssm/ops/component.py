# SPDX-License-Identifier: Apache-2.0
"""Largest connected component of a batch of masks."""

from __future__ import annotations

import torch

from dssm.ops import _check
from dssm.ops._op import define

_component = define(
    "component",
    "(Tensor mask, int connectivity, str backend) -> Tensor",
    fake=lambda mask, *_: torch.empty_like(mask, memory_format=torch.contiguous_format),
)


def component(mask: torch.Tensor, *, connectivity: int = 8, backend: str | None = None) -> torch.Tensor:
    """Keep the largest connected component of every mask: M = largest region of M_p (paper, section III-A, Fig. 4).

    mask: (B, H, W) bool, any strides. connectivity: 8 or 4.
    Returns (B, H, W) bool, contiguous. The component with most pixels wins, of equal ones the one whose first pixel
    comes first in raster order; an all-zero mask stays zero. Not differentiable.
    Raises InputError for another dtype, shape or connectivity.
    """
    _check.tensor("mask", mask, dims=3, dtypes=(torch.bool,))
    _check.choice("connectivity", connectivity, (4, 8))
    return _component(mask, connectivity, backend or "")
