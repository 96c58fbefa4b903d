# SPDX-License-Identifier: Apache-2.0
"""AUPRO against the published definition written out, and against published code where it is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label

from dssm.errors import InputError
from dssm.metrics import aupro, auroc

EIGHT = np.ones((3, 3))


def problem(seed: int, count: int = 4, size: tuple[int, int] = (24, 31), ties: bool = False):
    """Smooth maps that rise on some defects only; regions touch diagonally and reach the border."""
    generator = np.random.default_rng(seed)
    masks = gaussian_filter(generator.normal(size=(count, *size)), (0, 2, 2)) > 0.22
    masks[0] = False
    maps = gaussian_filter(generator.normal(size=masks.shape), (0, 1, 1)) * 50 + 20 * gaussian_filter(
        masks.astype(float), (0, 1, 1)
    )
    return (maps.round() if ties else maps), masks


def written_out(maps: np.ndarray, masks: np.ndarray, limit: float) -> float:
    """Threshold by threshold: overlap of every region, false-positive rate, trapezoids up to the limit."""
    labelled = [label(mask, EIGHT) for mask in masks]
    regions = [(score, parts == k) for score, (parts, n) in zip(maps, labelled, strict=True) for k in range(1, n + 1)]
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(maps)[::-1]:
        rates.append((maps[~masks] >= threshold).mean())
        overlaps.append(np.mean([(score[region] >= threshold).mean() for score, region in regions]))
    area = 0.0
    for x0, x1, y0, y1 in zip(rates, rates[1:], overlaps, overlaps[1:], strict=False):
        if x0 < limit and x1 > x0:
            end = min(x1, limit)
            area += (end - x0) * (y0 + (y0 + (y1 - y0) * (end - x0) / (x1 - x0))) / 2
    return area / limit


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("limit", [0.001, 0.05, 0.3, 1.0])
def test_aupro_equals_its_definition(limit: float, ties: bool) -> None:
    maps, masks = problem(3, ties=ties)
    assert aupro(maps, masks, limit=limit) == pytest.approx(written_out(maps, masks, limit), abs=1e-12)


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_equals_the_published_evaluation_code(limit: float) -> None:
    published = pytest.importorskip("adeval.au_pro", reason="adeval is not installed: pip install --no-deps adeval")
    maps, masks = problem(5)
    # Asked for as many thresholds as there are normal pixels, it visits every one of their scores.
    expected, _ = published.calculate_au_pro(list(masks), list(maps), limit, int((~masks).sum()))
    # Its curve climbs straight from one normal score to the next where the exact one is a staircase below it.
    excess = expected - aupro(maps, masks, limit=limit)
    assert 0 <= excess <= 0.5 / (~masks).sum() / limit


def test_one_region_up_to_the_full_rate_is_the_auroc() -> None:
    maps, _ = problem(7, count=2)
    masks = np.zeros(maps.shape, dtype=bool)
    masks[1, 4:15, 6:20] = True
    assert aupro(maps, masks, limit=1.0) == pytest.approx(auroc(maps, masks), abs=1e-13)


def test_small_regions_count_as_much_as_large_ones() -> None:
    masks = np.zeros((1, 20, 20), dtype=bool)
    masks[0, :10, :10] = masks[0, 18, 18] = True
    maps = np.where(masks, 1.0, 0.0)
    maps[0, 18, 18] = -1.0
    assert aupro(maps, masks) == pytest.approx(0.5)


def test_sizes_may_differ_between_images() -> None:
    maps, masks = problem(11)
    parts = [(maps[0], masks[0]), (maps[1][:, :17], masks[1][:, :17]), (maps[2][:9], masks[2][:9])]
    scores, truth = zip(*parts, strict=True)
    width = sum(image.shape[1] for image in scores)
    # Side by side with a gap, the same images are one large image; the gap is normal and coldest.
    canvas, canvas_truth, x = np.full((24, width + 4), -np.inf), np.zeros((24, width + 4), dtype=bool), 0
    for image, mask in parts:
        canvas[: image.shape[0], x : x + image.shape[1]] = image
        canvas_truth[: image.shape[0], x : x + image.shape[1]] = mask
        x += image.shape[1] + 2
    normal = sum(int((~mask).sum()) for mask in truth)
    limit = 0.3 * normal / int((~canvas_truth).sum())
    assert aupro(scores, truth) == pytest.approx(aupro(canvas[None], canvas_truth[None], limit=limit), abs=1e-12)


def test_missing_classes_give_nan() -> None:
    maps = np.arange(16.0).reshape(1, 4, 4)
    assert math.isnan(aupro(maps, np.zeros_like(maps)))
    assert math.isnan(aupro(maps, np.ones_like(maps)))
    assert math.isnan(aupro([], []))


@pytest.mark.parametrize(
    ("maps", "masks", "limit", "message"),
    [
        (np.full((1, 2, 2), np.nan), np.zeros((1, 2, 2)), 0.3, "maps must not contain NaN"),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 3)), 0.3, "maps and masks must agree in shape"),
        (np.zeros((2, 2, 2)), np.zeros((1, 2, 2)), 0.3, "maps and masks must be equally many"),
        (np.zeros((2, 2)), np.zeros((2, 2)), 0.3, r"maps must have the shape \(H, W\)"),
        (np.zeros((1, 2, 2)), np.full((1, 2, 2), 255), 0.3, "masks must be boolean"),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), 0.0, "limit must lie in"),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), 1.1, "limit must lie in"),
    ],
)
def test_bad_input_is_named(maps: np.ndarray, masks: np.ndarray, limit: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        aupro(maps, masks, limit=limit)
