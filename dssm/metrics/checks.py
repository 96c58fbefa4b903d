# SPDX-License-Identifier: Apache-2.0
"""Turns what users pass as scores, labels, maps and masks into CPU tensors, or says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from dssm.errors import InputError

Values: TypeAlias = "ArrayLike | Tensor"
Images: TypeAlias = "Sequence[Values] | np.ndarray | Tensor"


def as_scores(values: Values, name: str) -> Tensor:
    """Any real array as a floating CPU tensor of the same shape; infinities pass, NaN does not."""
    scores = _as_tensor(values, name)
    if scores.is_complex():
        raise InputError(f"{name} must be real numbers, not {scores.dtype}")
    if not scores.is_floating_point():
        scores = scores.double()
    if scores.isnan().any():
        raise InputError(f"{name} must not contain NaN; repair or leave out those scores")
    return scores


def as_truth(values: Values, name: str) -> Tensor:
    """A boolean or 0/1 array as a bool CPU tensor of the same shape."""
    truth = _as_tensor(values, name)
    if truth.dtype != torch.bool and not ((truth == 0) | (truth == 1)).all():
        raise InputError(f"{name} must be boolean or hold nothing but 0 and 1")
    return truth.bool()


def as_pair(scores: Values, truth: Values, names: tuple[str, str], dims: int | None = None) -> tuple[Tensor, Tensor]:
    """Scores and their truth, of the same shape and of `dims` dimensions where that is given."""
    a, b = as_scores(scores, names[0]), as_truth(truth, names[1])
    if dims is not None and a.ndim != dims:
        wanted = "(B, H, W)" if dims == 3 else "(H, W) each"
        raise InputError(f"{names[0]} must have the shape {wanted}, not {tuple(a.shape)}")
    if a.shape != b.shape:
        raise InputError(f"{names[0]} and {names[1]} must agree in shape, not {tuple(a.shape)} and {tuple(b.shape)}")
    return a, b


def as_images(maps: Images, masks: Images) -> Iterator[tuple[Tensor, Tensor]]:
    """Maps and masks image by image, each (H, W), sizes free to differ between images."""
    if len(maps) != len(masks):
        raise InputError(f"maps and masks must be equally many, not {len(maps)} and {len(masks)}")
    for scores, truth in zip(maps, masks, strict=True):
        yield as_pair(scores, truth, ("maps", "masks"), dims=2)


def check_limit(limit: float) -> None:
    if not 0 < limit <= 1:
        raise InputError(f"limit must lie in (0, 1], not {limit}")


def _as_tensor(values: Values, name: str) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().cpu()
    try:
        # A copy in native byte order, because torch refuses read-only, swapped and negatively strided arrays.
        array = np.array(values)
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be one rectangular array of numbers: {error}") from error
