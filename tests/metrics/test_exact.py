# SPDX-License-Identifier: Apache-2.0
"""Exact metrics against scikit-learn, and against their own definitions where it has none."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from dssm.errors import InputError
from dssm.metrics import auroc, average_precision, f1_max

METRICS = [auroc, average_precision, f1_max]


def problem(kind: str, count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes of scores: spread, tied, far outside [0, 1], negative, or reaching infinity."""
    generator = np.random.default_rng(count)
    labels = generator.random(count) < 0.3
    scores = generator.normal(size=count) + labels
    match kind:
        case "tied":
            scores = scores.round()
        case "far":
            scores = 1e6 + 1e3 * scores
        case "negative":
            scores = -np.exp(-scores)
        case "infinite":
            scores[scores > 1.5], scores[scores < -1.5] = np.inf, -np.inf
    return scores, labels


KINDS = ["spread", "tied", "far", "negative", "infinite"]


def finite(scores: np.ndarray) -> np.ndarray:
    """The same ranking without infinities, which scikit-learn refuses."""
    return np.clip(scores, -1e9, 1e9)


@pytest.mark.parametrize("kind", KINDS)
def test_auroc_equals_scikit_learn(kind: str) -> None:
    scores, labels = problem(kind)
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, finite(scores)), abs=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_average_precision_equals_scikit_learn(kind: str) -> None:
    scores, labels = problem(kind)
    expected = average_precision_score(labels, finite(scores))
    assert average_precision(scores, labels) == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_f1_max_equals_scikit_learn(kind: str) -> None:
    scores, labels = problem(kind)
    precision, recall, _ = precision_recall_curve(labels, finite(scores))
    best = (2 * precision * recall / np.maximum(precision + recall, 1e-300)).max()
    value, threshold = f1_max(scores, labels)
    assert value == pytest.approx(best, abs=1e-13)
    chosen = scores >= threshold
    assert 2 * (chosen & labels).sum() / (chosen.sum() + labels.sum()) == pytest.approx(value, abs=1e-13)


def test_auroc_equals_counted_pairs() -> None:
    scores, labels = problem("tied", 120)
    difference = scores[labels][:, None] - scores[~labels][None]
    assert auroc(scores, labels) == pytest.approx(((difference > 0) + 0.5 * (difference == 0)).mean(), abs=1e-15)


def test_a_perfect_and_a_reversed_ranking_are_exact() -> None:
    labels = np.arange(1001) >= 700
    assert auroc(np.arange(1001), labels) == 1.0
    assert auroc(-np.arange(1001), labels) == 0.0
    assert average_precision(np.arange(1001), labels) == 1.0
    assert f1_max(np.arange(1001), labels) == (1.0, 700.0)


def test_constant_scores_say_nothing() -> None:
    assert auroc([7.0] * 5, [1, 0, 0, 1, 0]) == 0.5
    assert average_precision([7.0] * 5, [1, 0, 0, 1, 0]) == pytest.approx(0.4)


def test_f1_max_prefers_the_highest_of_tied_thresholds() -> None:
    # F1 is 2/3 both for {4} and for all four.
    assert f1_max([4.0, 3.0, 2.0, 1.0], [1, 0, 0, 1]) == (pytest.approx(2 / 3), 4.0)


def test_zeros_of_both_signs_tie() -> None:
    assert auroc([0.0, -0.0], [1, 0]) == 0.5


small = st.integers(1, 40)
ranked = arrays(np.int64, st.shared(small, key="n"), elements=st.integers(-8, 8))
marked = arrays(np.bool_, st.shared(small, key="n"))


@given(ranked, marked)
def test_a_rising_transform_changes_no_metric(scores: np.ndarray, labels: np.ndarray) -> None:
    for transform in (np.exp, np.cbrt, lambda x: 1e5 * x - 3e7):
        moved = transform(scores.astype(np.float64))
        assert auroc(moved, labels) == pytest.approx(auroc(scores, labels), nan_ok=True, abs=1e-15)
        assert average_precision(moved, labels) == pytest.approx(average_precision(scores, labels), nan_ok=True)
        assert f1_max(moved, labels)[0] == pytest.approx(f1_max(scores, labels)[0], nan_ok=True)


@given(ranked, marked, st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(scores: np.ndarray, labels: np.ndarray, random) -> None:
    order = random.sample(range(len(scores)), len(scores))
    for metric in METRICS:
        assert metric(scores[order], labels[order]) == pytest.approx(metric(scores, labels), nan_ok=True, abs=1e-15)


@given(ranked, marked)
def test_swapping_classes_and_signs_keeps_the_auroc(scores: np.ndarray, labels: np.ndarray) -> None:
    assert auroc(-scores, ~labels) == pytest.approx(auroc(scores, labels), nan_ok=True, abs=1e-15)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32])
def test_tensors_of_every_dtype_and_layout(dtype: torch.dtype) -> None:
    labels = torch.arange(24).reshape(4, 6) % 3 == 0
    scores = (torch.arange(24).reshape(4, 6) * 7 % 11).to(dtype)
    expected = roc_auc_score(labels.flatten().numpy(), scores.double().flatten().numpy())
    assert auroc(scores, labels) == pytest.approx(expected)
    assert auroc(scores.T, labels.T) == pytest.approx(expected)


def test_gradients_readonly_reversed_and_swapped_arrays_are_accepted() -> None:
    scores, labels = problem("spread", 60)
    expected = auroc(scores, labels)
    frozen = scores.copy()
    frozen.flags.writeable = False
    assert auroc(frozen, labels) == expected
    assert auroc(scores[::-1], labels[::-1]) == pytest.approx(expected)
    assert auroc(scores.astype(">f8"), labels) == expected
    assert auroc(torch.tensor(scores, requires_grad=True), labels.tolist()) == expected


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("scores", "labels"), [([], []), ([1.0, 2.0], [0, 0]), ([1.0, 2.0], [1, 1])])
def test_a_single_class_gives_nan(metric: Callable, scores: list[float], labels: list[int]) -> None:
    assert np.isnan(metric(scores, labels)).all()
    assert isinstance(auroc(scores, labels), float)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1.0, math.nan], [0, 1], "scores must not contain NaN"),
        ([1.0, 2.0, 3.0], [0, 1], r"scores and labels must agree in shape, not \(3,\) and \(2,\)"),
        ([1.0, 2.0], [0, 2], "labels must be boolean"),
        ([1.0, 2.0], [0, 0.5], "labels must be boolean"),
        (["a", "b"], [0, 1], "scores must be one rectangular array of numbers"),
        ([[1.0], [2.0, 3.0]], [0, 1], "scores must be one rectangular array of numbers"),
        ([1j, 2.0], [0, 1], "scores must be real"),
    ],
)
def test_bad_input_is_named(metric: Callable, scores: list, labels: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metric(scores, labels)
