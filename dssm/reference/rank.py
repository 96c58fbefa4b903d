# SPDX-License-Identifier: Apache-2.0
"""Ranks of scores among others."""

from __future__ import annotations

import torch


def rank(scores: torch.Tensor, among: torch.Tensor, where: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """How many of `among` are above each score, and how many equal it: two binary searches in the sorted others."""
    others, scores = among.double().flatten(), scores.double().contiguous()
    count: int | torch.Tensor = others.numel()
    if where is not None:
        # Those that do not count go to the end, where they are cut off: how many they are needs not be known here.
        others = others.masked_fill(~where.flatten(), torch.inf)
        count = where.sum()
    others = others.sort().values
    upto = torch.searchsorted(others, scores, right=True).clamp(max=count)
    return count - upto, upto - torch.searchsorted(others, scores).clamp(max=count)
