# SPDX-License-Identifier: Apache-2.0
"""Histogram metrics: equal to the exact ones on rounded scores, close to them on others, and mergeable."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dssm.errors import InputError
from dssm.metrics import PixelMetrics, aupro, auroc, average_precision, f1_max
from dssm.reference.histogram import bin_of, edge_of


def problem(seed: int, count: int = 6, size: tuple[int, int] = (33, 47)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(count, *size, dtype=torch.bool)
    masks[1:, 5:12, 8:20] = masks[2:, 20:22, 30:40] = masks[::3, 0, 0] = True
    return torch.randn(masks.shape, generator=generator) * 40 + 25 * masks - 10, masks


def exact(maps: torch.Tensor, masks: torch.Tensor) -> dict[str, float]:
    return {
        "pixel_auroc": auroc(maps, masks),
        "pixel_ap": average_precision(maps, masks),
        "pixel_f1_max": f1_max(maps, masks)[0],
        "pixel_aupro": aupro(maps, masks),
    }


def counted(*batches: tuple[torch.Tensor, torch.Tensor]) -> PixelMetrics:
    metrics = PixelMetrics()
    for maps, masks in batches:
        metrics.update(maps, masks)
    return metrics


def test_results_are_those_of_the_scores_rounded_down_to_bins() -> None:
    maps, masks = problem(0)
    assert counted((maps, masks)).compute() == pytest.approx(exact(edge_of(bin_of(maps)), masks), abs=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_auroc_error_stays_within_half_the_tied_pairs(scale: float, offset: float) -> None:
    maps, masks = problem(1)
    maps = (maps + offset) * scale
    bins = bin_of(maps)
    defective = torch.bincount(bins[masks], minlength=1 << 20).double() / masks.sum()
    normal = torch.bincount(bins[~masks], minlength=1 << 20).double() / (~masks).sum()
    bound = 0.5 * (defective @ normal).item()
    error = abs(counted((maps, masks)).compute()["pixel_auroc"] - auroc(maps, masks))
    assert error <= bound + 1e-12
    assert bound < 1e-3


def test_scores_of_sixteen_bits_are_exact() -> None:
    maps, masks = problem(2)
    maps = maps.bfloat16()
    assert counted((maps, masks)).compute() == pytest.approx(exact(maps, masks), abs=1e-12)


def test_bins_keep_the_order_of_all_floats() -> None:
    generator = torch.Generator().manual_seed(3)
    bits = torch.randint(-(2**31), 2**31, (200_000,), generator=generator).int()
    scores = bits.view(torch.float32)
    scores = scores[~scores.isnan()].sort().values
    bins = bin_of(scores)
    assert bins.min() >= 0
    assert bins.max() < 1 << 20
    assert (bins.diff() >= 0).all()
    edges = edge_of(bins)
    assert (edges <= scores).all()
    assert torch.equal(bin_of(edges), bins)
    usual = (scores.abs() > 1e-30) & scores.isfinite() & edges.isfinite()
    assert ((scores - edges)[usual] <= scores.abs()[usual] * 2**-11).all()


def test_zeros_tie_and_infinities_rank_last() -> None:
    values = torch.tensor([-math.inf, -3e38, -1e-45, -0.0, 0.0, 1e-45, 3e38, math.inf])
    bins = bin_of(values)
    assert bins[3] == bins[4]
    assert (bins[[0, 1, 2, 4, 6]] < bins[[1, 2, 3, 6, 7]]).all()
    assert edge_of(bins[[0, 3, 7]]).tolist() == [-math.inf, 0.0, math.inf]
    maps = torch.tensor([[[math.inf, 1.0], [-math.inf, 0.0]]])
    masks = torch.tensor([[[True, False], [False, False]]])
    assert counted((maps, masks)).compute() == dict.fromkeys(exact(maps, masks), 1.0)


def test_double_scores_beyond_float_become_infinite() -> None:
    maps = torch.tensor([[[1e300, -1e300]]], dtype=torch.float64)
    assert counted((maps, maps > 0)).compute()["pixel_auroc"] == 1.0


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 99))
@settings(max_examples=6, deadline=None)
def test_merged_parts_equal_the_whole(counts: list[int], seed: int) -> None:
    maps, masks = problem(seed, sum(counts) + 4, (23, 41))
    batches = list(zip(maps.split([4, *counts]), masks.split([4, *counts]), strict=True))
    whole = counted((maps, masks)).compute()
    assert counted(*reversed(batches)).compute() == pytest.approx(whole, abs=1e-12)
    merged = sum((counted(batch) for batch in batches), PixelMetrics())
    assert merged.compute() == pytest.approx(whole, abs=1e-12)


def test_adding_leaves_the_parts_as_they_were() -> None:
    a, b = counted(problem(4)), counted(problem(5))
    before = a.compute(), b.compute()
    assert (a + b).compute() not in before
    assert (a.compute(), b.compute()) == before


def test_sizes_may_differ_between_updates() -> None:
    first, second = problem(6, 3, (40, 50)), problem(7, 4, (25, 60))
    expected = exact(
        torch.cat([first[0].flatten(), second[0].flatten()])[None, None],
        torch.cat([first[1].flatten(), second[1].flatten()])[None, None],
    )
    result = counted(first, second).compute()
    assert result["pixel_auroc"] == pytest.approx(expected["pixel_auroc"], abs=1e-3)
    assert result["pixel_ap"] == pytest.approx(expected["pixel_ap"], abs=1e-3)
    both = aupro([*first[0], *second[0]], [*first[1], *second[1]])
    assert result["pixel_aupro"] == pytest.approx(both, abs=1e-3)


def test_memory_does_not_grow_with_the_number_of_images() -> None:
    maps, masks = problem(8, 1)
    metrics = counted(*[(maps, masks)] * 50)
    assert sum(tensor.untyped_storage().nbytes() for tensor in vars(metrics).values()) == 24 * 2**20


def test_numpy_and_views_are_accepted() -> None:
    maps, masks = problem(9)
    expected = counted((maps, masks)).compute()
    assert counted((maps.numpy(), masks.numpy())).compute() == expected
    assert counted((maps.transpose(1, 2), masks.transpose(1, 2))).compute() == pytest.approx(expected, abs=1e-12)


def test_missing_classes_give_nan() -> None:
    for metrics in (
        PixelMetrics(),
        counted((torch.zeros(0, 4, 4), torch.zeros(0, 4, 4))),
        counted((torch.rand(1, 4, 4), torch.zeros(1, 4, 4))),
        counted((torch.rand(1, 4, 4), torch.ones(1, 4, 4))),
    ):
        assert all(math.isnan(value) for value in metrics.compute().values())


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        (np.full((1, 2, 2), np.nan), np.zeros((1, 2, 2)), "maps must not contain NaN"),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 3)), "maps and masks must agree in shape"),
        (np.zeros((2, 2)), np.zeros((2, 2)), r"maps must have the shape \(B, H, W\)"),
        (np.zeros((1, 2, 2)), np.full((1, 2, 2), 255), "masks must be boolean"),
    ],
)
def test_bad_input_is_named_and_not_counted(maps: np.ndarray, masks: np.ndarray, message: str) -> None:
    metrics = counted(problem(10))
    before = metrics.compute()
    with pytest.raises(InputError, match=message):
        metrics.update(maps, masks)
    assert metrics.compute() == before


def test_a_limit_outside_its_range_is_refused() -> None:
    with pytest.raises(InputError, match="limit"):
        counted(problem(11)).compute(limit=0)
