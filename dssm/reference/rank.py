# SPDX-License-Identifier: Apache-2.0
"""Ranks of scores among others."""

from __future__ import annotations

import torch


def rank(scores: torch.Tensor, among: torch.Tensor, where: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """How many of `among` are above each score, and how many equal it: two binary searches in the sorted others."""
    others = (among if where is None else among[where]).double().sort().values
    scores = scores.double().contiguous()
    upto = torch.searchsorted(others, scores, right=True)
    return len(others) - upto, upto - torch.searchsorted(others, scores)
