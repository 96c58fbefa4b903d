# SPDX-License-Identifier: Apache-2.0
"""Turns what users pass as scores, labels, maps and masks into CPU tensors, or says what is wrong with it."""
from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from dssm.errors import InputError


def as_scores(values: ArrayLike | Tensor, name: str) -> Tensor:
    """Any real array as a floating CPU tensor of the same shape; infinities pass, NaN does not."""
    scores = _as_tensor(values, name)
    if scores.is_complex():
        raise InputError(f"{name} must be real numbers, not {scores.dtype}.")
    if not scores.is_floating_point():
        scores = scores.double()
    if scores.isnan().any():
        raise InputError(f"{name} must not contain NaN; remove or repair those scores first.")
    return scores


def as_truth(values: ArrayLike | Tensor, name: str) -> Tensor:
    """A boolean or 0/1 array as a bool CPU tensor of the same shape."""
    truth = _as_tensor(values, name)
    if truth.dtype != torch.bool:
        if not ((truth == 0) | (truth == 1)).all():
            raise InputError(f"{name} must be boolean or contain only 0 and 1.")
        truth = truth == 1
    return truth


def as_batch(maps: ArrayLike | Tensor, masks: ArrayLike | Tensor) -> tuple[Tensor, Tensor]:
    """Anomaly maps and ground truth of one batch, both (B, H, W)."""
    scores, truth = as_scores(maps, "maps"), as_truth(masks, "masks")
    if scores.ndim != 3:
        raise InputError(f"maps must have the shape (B, H, W), not {tuple(scores.shape)}.")
    same_shape(scores, truth, "maps", "masks")
    return scores, truth


def same_shape(a: Tensor, b: Tensor, a_name: str, b_name: str) -> None:
    if a.shape != b.shape:
        raise InputError(
            f"{a_name} and {b_name} must have the same shape, not {tuple(a.shape)} and {tuple(b.shape)}."
        )


def _as_tensor(values: ArrayLike | Tensor, name: str) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().cpu()
    try:
        # A copy, because torch refuses read-only, byte-swapped and negatively strided arrays.
        array = np.array(values)
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be one rectangular array of numbers: {error}.") from error
