# SPDX-License-Identifier: Apache-2.0
"""Scores counted in bins that cover all of float32."""

from __future__ import annotations

import torch

from dssm.errors import InputError
from dssm.ops import _check
from dssm.ops._op import define
from dssm.reference.histogram import BITS, edge_of

__all__ = ["BINS", "edge_of", "histogram"]

BINS = 1 << BITS

_histogram = define(
    "histogram", "(Tensor scores, Tensor weights, Tensor(a!) bins, str backend) -> ()", fake=lambda *_: None
)


def histogram(
    scores: torch.Tensor, weights: torch.Tensor, bins: torch.Tensor | None = None, *, backend: str | None = None
) -> torch.Tensor:
    """Count scores in 2^20 bins: normal ones, of weight zero; defective ones, of any other; and the weights of these.

    A float32 score, read as an ordered integer, keeps its upper 20 bits: sign, exponent and 11 bits of mantissa. The
    bins cover all of float32, infinities included, in the order of the scores; `edge_of` names the lowest score of a
    bin. scores (B, H, W) floating, without NaN, compared as float32; weights (B, H, W) float64; any strides.
    Returns bins (3, 2^20) float64: new ones, or those given, updated in place. Not differentiable.
    Raises InputError for wrong shapes and dtypes.
    """
    _check.tensor("scores", scores, dims=3, dtypes=_check.FLOATS)
    _check.tensor("weights", weights, dims=3, dtypes=(torch.float64,))
    _check.shape("weights", weights, scores.shape, "scores")
    if bins is None:
        bins = scores.new_zeros((3, BINS), dtype=torch.float64)
    _check.tensor("bins", bins, dims=2, dtypes=(torch.float64,))
    _check.shape("bins", bins, (3, BINS), "the histogram")
    if not bins.is_contiguous():
        raise InputError("bins must be contiguous, because they are updated in place; pass bins.contiguous()")
    _check.same_device(scores=scores, weights=weights, bins=bins)
    _histogram(scores.detach(), weights.detach(), bins, backend or "")
    return bins
