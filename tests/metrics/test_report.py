# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: the right images in every figure, and JSON at the end."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from dssm.errors import InputError
from dssm.metrics import PixelMetrics, auroc, average_precision, evaluate_scores, f1_max

KINDS = ["good", "crack", "good", "pit", "pit", "good", "crack", "good"]
SCORES = np.array([1.0, 4.0, 2.0, 3.5, 1.5, 3.0, 2.5, 0.5])
IMAGE_KEYS = {"image_auroc", "image_ap", "f1_max", "f1_threshold"}
PIXEL_KEYS = {"pixel_auroc", "pixel_ap", "pixel_f1_max", "pixel_aupro"}


def pictures() -> tuple[np.ndarray, np.ndarray]:
    masks = np.zeros((8, 20, 30), dtype=bool)
    for i, kind in enumerate(KINDS):
        if kind != "good":
            masks[i, i : i + 5, 3:9] = True
    return np.random.default_rng(0).normal(size=masks.shape) * 9 + 8 * masks, masks


@pytest.mark.parametrize("defects", [("crack",), ("pit",), ("crack", "pit")])
def test_every_figure_is_of_its_kind_and_all_good_images(defects: tuple[str, ...]) -> None:
    maps, masks = pictures()
    report = evaluate_scores(SCORES, KINDS, maps, masks)
    part = report if len(defects) == 2 else report["per_kind"][defects[0]]
    chosen = np.isin(KINDS, ["good", *defects])
    labels = np.array(KINDS)[chosen] != "good"
    assert part["image_auroc"] == auroc(SCORES[chosen], labels)
    assert part["image_ap"] == average_precision(SCORES[chosen], labels)
    assert (part["f1_max"], part["f1_threshold"]) == f1_max(SCORES[chosen], labels)
    pixels = PixelMetrics()
    pixels.update(maps[chosen], masks[chosen])
    assert {key: part[key] for key in PIXEL_KEYS} == pytest.approx(pixels.compute(), abs=1e-12)


def test_keys_with_and_without_masks() -> None:
    maps, masks = pictures()
    report = evaluate_scores(SCORES, KINDS, maps, masks)
    assert set(report) == IMAGE_KEYS | PIXEL_KEYS | {"per_kind"}
    assert list(report["per_kind"]) == ["crack", "pit"]
    assert set(report["per_kind"]["pit"]) == IMAGE_KEYS | PIXEL_KEYS
    for bare in (evaluate_scores(SCORES, KINDS), evaluate_scores(SCORES, KINDS, maps)):
        assert set(bare) == IMAGE_KEYS | {"per_kind"}
        assert bare["image_auroc"] == report["image_auroc"]


def test_images_of_mixed_sizes() -> None:
    maps, masks = pictures()
    cut = [slice(20 - i) for i in range(8)]
    report = evaluate_scores(
        SCORES,
        KINDS,
        [m[rows] for m, rows in zip(maps, cut, strict=True)],
        [m[rows] for m, rows in zip(masks, cut, strict=True)],
    )
    scores = np.concatenate([m[rows].ravel() for m, rows in zip(maps, cut, strict=True)])
    truth = np.concatenate([m[rows].ravel() for m, rows in zip(masks, cut, strict=True)])
    assert report["pixel_auroc"] == pytest.approx(auroc(scores, truth), abs=1e-3)


@pytest.mark.parametrize("kinds", [["good"] * 3, ["pit"] * 3, []])
def test_a_single_class_is_null_in_json(kinds: list[str]) -> None:
    count = len(kinds)
    report = evaluate_scores(np.arange(count), kinds, np.zeros((count, 4, 4)), np.zeros((count, 4, 4)))
    text = json.dumps(report, allow_nan=False)
    figures = {key: value for key, value in json.loads(text).items() if key != "per_kind"}
    assert figures == dict.fromkeys(IMAGE_KEYS | PIXEL_KEYS)


def test_an_infinite_threshold_is_null() -> None:
    report = evaluate_scores([math.inf, 0.0], ["pit", "good"])
    assert (report["f1_max"], report["f1_threshold"]) == (1.0, None)
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], ["good"]), "scores must hold one number per kind"),
        (([[1.0]], ["good"]), "scores must hold one number per kind"),
        (([math.nan], ["good"]), "scores must not contain NaN"),
        (([1.0], ["good"], None, np.zeros((1, 2, 2))), "masks need maps"),
        (([1.0], ["good"], np.zeros((2, 2, 2)), np.zeros((2, 2, 2))), "maps and masks must be as many as kinds"),
        (([1.0], ["good"], np.zeros((1, 2, 2)), np.zeros((2, 2, 2))), "maps and masks must be as many as kinds"),
    ],
)
def test_bad_input_is_named(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_scores(*arguments)
