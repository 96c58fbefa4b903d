# SPDX-License-Identifier: Apache-2.0
"""Ranks of scores among others."""

from __future__ import annotations

import torch

from dssm.ops import _check
from dssm.ops._op import define


def _fake(scores: torch.Tensor, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
    above = scores.new_empty(scores.shape, dtype=torch.int64)
    return above, torch.empty_like(above)


_rank = define("rank", "(Tensor scores, Tensor among, Tensor? where, str backend) -> (Tensor, Tensor)", fake=_fake)


def rank(
    scores: torch.Tensor, among: torch.Tensor, where: torch.Tensor | None = None, *, backend: str | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """How many of the scores `among` are above each of `scores`, and how many equal it: the Mann-Whitney counts.

    scores (N,), among (M,) floating, of the same dtype, any strides; where (M,) bool picks those of `among` that count,
    by default all -> above (N,), tied (N,), int64.
    Infinities are scores like others, zeros of both signs are equal, and a NaN has no rank: what is returned for it,
    and what it adds to others, is not specified. The area under the ROC curve of defective scores among normal ones is
    1 - mean(above + tied / 2) / M. Not differentiable. Raises InputError for wrong shapes and dtypes.
    """
    _check.tensor("scores", scores, dims=1, dtypes=_check.FLOATS)
    _check.tensor("among", among, dims=1, dtypes=(scores.dtype,))
    if where is not None:
        _check.tensor("where", where, dims=1, dtypes=(torch.bool,))
        _check.shape("where", where, among.shape, "among")
    _check.same_device(scores=scores, among=among, where=where)
    return _rank(scores.detach(), among.detach(), where, backend or "")
