# SPDX-License-Identifier: Apache-2.0
"""Histograms over all of float32: across backends, in pieces, and bad input. tests/metrics/test_pixel.py tests bins."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dssm import backends
from dssm.errors import InputError
from dssm.ops import histogram
from dssm.ops.histogram import BINS, edge_of

BACKENDS = backends.available("histogram", "cpu")
each_backend = pytest.mark.parametrize("backend", BACKENDS)
TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def problem(generator: torch.Generator, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Scores of all sizes, zeros of both signs and infinities among them, and weights, most of them zero."""
    scores = torch.randn(3, 15, 22, generator=generator) * torch.logspace(-40, 38, 22)
    scores[0, :4, 0] = torch.tensor([0.0, -0.0, torch.inf, -torch.inf])
    return scores.to(dtype), torch.randn(scores.shape, generator=generator, dtype=torch.float64).sub(1).relu()


@each_backend
@pytest.mark.parametrize("dtype", TYPES)
def test_every_score_is_counted_in_its_bin(
    dtype: torch.dtype, layout: Callable, backend: str, generator: torch.Generator
) -> None:
    scores, weights = (layout(tensor) for tensor in problem(generator, dtype))
    bins = histogram(scores, weights, backend=backend)
    edges = edge_of(torch.arange(BINS))
    edges = edges[: int(edges.isposinf().nonzero()) + 1]  # the bins behind would hold NaN
    for kind, counted in enumerate((weights == 0, weights != 0)):
        values = scores[counted].float()
        expected = torch.zeros(BINS)
        expected.index_add_(0, torch.searchsorted(edges, values, right=True) - 1, torch.ones(len(values)))
        assert torch.equal(bins[kind], expected.double())
    torch.testing.assert_close(bins[2].sum(), weights.sum())


@pytest.mark.skipif("cpu" not in BACKENDS, reason="the extension is not built")
@pytest.mark.parametrize("dtype", TYPES)
def test_kernel_equals_the_reference(dtype: torch.dtype, layout: Callable, generator: torch.Generator) -> None:
    scores, weights = (layout(tensor) for tensor in problem(generator, dtype))
    assert torch.equal(histogram(scores, weights, backend="cpu"), histogram(scores, weights, backend="reference"))


@each_backend
def test_pieces_are_added_in_place(backend: str, generator: torch.Generator) -> None:
    scores, weights = problem(generator)
    bins = histogram(scores[:1], weights[:1], backend=backend)
    assert histogram(scores[1:], weights[1:], bins, backend=backend) is bins
    assert histogram(scores[:0], weights[:0], bins, backend=backend) is bins
    torch.testing.assert_close(bins, histogram(scores, weights, backend=backend))


@each_backend
def test_registration(backend: str, generator: torch.Generator) -> None:
    scores, weights = problem(generator)
    bins = torch.zeros(3, BINS, dtype=torch.float64)
    torch.library.opcheck(torch.ops.dssm.histogram.default, (scores, weights, bins, backend))


@pytest.mark.parametrize(
    ("scores", "weights", "bins", "message"),
    [
        (torch.zeros(2, 2), torch.zeros(2, 2).double(), None, "scores must have 3 dimensions"),
        (torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), None, "weights must be one of float64"),
        (torch.zeros(1, 2, 2), torch.zeros(1, 2, 3).double(), None, r"weights must have shape \(1, 2, 2\)"),
        (
            torch.zeros(1, 2, 2),
            torch.zeros(1, 2, 2).double(),
            torch.zeros(3, 8).double(),
            r"bins must have shape \(3, ",
        ),
        (torch.zeros(1, 2, 2), torch.zeros(1, 2, 2).double(), torch.zeros(BINS, 3).double().T, "bins must be contig"),
    ],
)
def test_bad_input(scores: Tensor, weights: Tensor, bins: Tensor | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        histogram(scores, weights, bins)
