# SPDX-License-Identifier: Apache-2.0
"""Ranks against counting, against SciPy's Mann-Whitney statistic, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from torch import Tensor

from dssm import backends
from dssm.errors import InputError
from dssm.ops import rank

BACKENDS = backends.available("rank", "cpu")
each_backend = pytest.mark.parametrize("backend", BACKENDS)
TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
SPECIAL = [0.0, -0.0, 1.0, -1.0, torch.inf, -torch.inf, 1e-7, -1e-7, 6e4, 1e300, 1e-310]


def counted(scores: Tensor, among: Tensor, where: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """One comparison per pair."""
    among = among if where is None else among[where]
    return (among > scores[:, None]).sum(1), (among == scores[:, None]).sum(1)


def equal(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> bool:
    return torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


@each_backend
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("count", "others"), [(1, 1), (40, 300), (300, 40), (0, 5), (5, 0)])
def test_ranks_are_counts(
    count: int, others: int, dtype: torch.dtype, backend: str, generator: torch.Generator
) -> None:
    scores = (torch.randn(2 * count, generator=generator, dtype=torch.float64) * 50).round().to(dtype)[::2]
    among = (torch.randn(others, generator=generator, dtype=torch.float64) * 50).round().to(dtype)
    where = torch.rand(others, 3, generator=generator)[:, 1] < 0.6
    assert equal(rank(scores, among, backend=backend), counted(scores, among))
    assert equal(rank(scores, among.flip(0), where.flip(0), backend=backend), counted(scores, among, where))


@each_backend
@given(
    st.sampled_from(TYPES),
    st.lists(st.one_of(st.floats(allow_nan=False), st.sampled_from(SPECIAL)), max_size=40),
    st.lists(st.one_of(st.floats(allow_nan=False), st.sampled_from(SPECIAL)), max_size=40),
)
@settings(max_examples=40, deadline=None)
def test_all_numbers_are_in_order(backend: str, dtype: torch.dtype, left: list[float], right: list[float]) -> None:
    scores, among = (
        torch.tensor(left, dtype=torch.float64).to(dtype),
        torch.tensor(right, dtype=torch.float64).to(dtype),
    )
    assert equal(rank(scores, among, backend=backend), counted(scores, among))


@each_backend
def test_they_make_the_mann_whitney_statistic(backend: str, generator: torch.Generator) -> None:
    scores, among = torch.randn(500, generator=generator), torch.randn(700, generator=generator) - 0.5
    above, tied = rank(scores, among, backend=backend)
    wanted = mannwhitneyu(scores.numpy(), among.numpy()).statistic
    assert (len(among) - above - tied / 2).sum().item() == pytest.approx(float(np.asarray(wanted)))


@each_backend
def test_registration(backend: str) -> None:
    scores, among, where = torch.randn(4), torch.randn(9), torch.arange(9) % 2 == 0
    for mask in (where, None):
        torch.library.opcheck(torch.ops.dssm.rank.default, (scores, among, mask, backend))


@pytest.mark.parametrize(
    ("scores", "among", "where", "message"),
    [
        (torch.zeros(2, 2), torch.zeros(2), None, "scores must have 1 dimensions"),
        (torch.zeros(2), torch.zeros(2).double(), None, "among must be one of float32"),
        (torch.zeros(2).long(), torch.zeros(2), None, "scores must be one of float32"),
        (torch.zeros(2), torch.zeros(3), torch.ones(2).bool(), r"where must have shape \(3,\) to fit among"),
        (torch.zeros(2), torch.zeros(3), torch.ones(3), "where must be one of bool"),
    ],
)
def test_bad_input(scores: Tensor, among: Tensor, where: Tensor | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rank(scores, among, where)
