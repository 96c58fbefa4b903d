# SPDX-License-Identifier: Apache-2.0
"""Scores counted in bins of their float32 bit pattern."""

from __future__ import annotations

import torch

BITS = 20
MAGNITUDE = 0x7FFFFFFF


def histogram(scores: torch.Tensor, weights: torch.Tensor, bins: torch.Tensor) -> None:
    """Count those of weight zero, the others, and the others' weights, in place."""
    index = bin_of(scores).flatten()
    weights = weights.flatten()
    normal = weights == 0
    bins[0].index_add_(0, index, normal.double())
    bins[1].index_add_(0, index, (~normal).double())
    bins[2].index_add_(0, index, weights)


def bin_of(scores: torch.Tensor) -> torch.Tensor:
    """The bin of each score, int64 in [0, 2^20), in the order of the scores."""
    # Adding zero turns -0.0, whose bits would sort below those of 0.0, into 0.0.
    bits = (scores.float() + 0.0).view(torch.int32)
    # The magnitude bits of negative floats count downwards; flipped, all bits sort as one signed integer.
    ordered = bits ^ ((bits >> 31) & MAGNITUDE)
    return (ordered >> 32 - BITS).long() + (1 << BITS - 1)


def edge_of(bins: torch.Tensor) -> torch.Tensor:
    """The smallest float32 score of each bin."""
    ordered = ((bins - (1 << BITS - 1)) << 32 - BITS).int()
    edges = (ordered ^ ((ordered >> 31) & MAGNITUDE)).view(torch.float32)
    # The lowest occupied bin can hold -inf alone, but its edge is the bit pattern of a NaN.
    return torch.where(edges.isnan(), -torch.inf, edges)
