# SPDX-License-Identifier: Apache-2.0
"""Pixel metrics of 256x256 anomaly maps: AUROC, average precision, and the per-region overlap."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dssm import metrics, ops
from dssm.metrics import PixelMetrics

from .conftest import Timed
from .floors import memcpy, size
from .metric_peers import aupro

AUROC, AP, AUPRO, ALL = "AUROC 256x256", "AP 256x256", "AUPRO 256x256", "all, streaming 256x256"


@pytest.fixture(scope="module")
def truth(noise_masks: np.ndarray) -> Tensor:
    return ops.component(torch.from_numpy(noise_masks))


@pytest.fixture(scope="module")
def maps(truth: Tensor) -> Tensor:
    """Smooth noise, higher on defects."""
    index = torch.arange(1000, 1000 + len(truth))
    return ops.perlin(index, truth.shape[1:], seed=1, resolution=(4, 6)) + 0.5 * truth


def bench_dssm_auroc(timed: Timed, maps: Tensor, truth: Tensor) -> None:
    timed(AUROC, "dssm", lambda: metrics.auroc(maps, truth), "ours")


def bench_dssm_ap(timed: Timed, maps: Tensor, truth: Tensor) -> None:
    timed(AP, "dssm", lambda: metrics.average_precision(maps, truth), "ours")


def bench_dssm_aupro(timed: Timed, maps: Tensor, truth: Tensor) -> None:
    timed(AUPRO, "dssm", lambda: metrics.aupro(maps, truth), "ours")


def bench_dssm_all(timed: Timed, maps: Tensor, truth: Tensor) -> None:
    def streaming() -> dict[str, float]:
        counts = PixelMetrics()
        counts.update(maps, truth)
        return counts.compute()

    timed(ALL, "dssm", streaming, "ours")


@pytest.mark.parametrize(("case", "name"), [(AUROC, "roc_auc_score"), (AP, "average_precision_score")])
def bench_scikit_learn(timed: Timed, maps: Tensor, truth: Tensor, case: str, name: str) -> None:
    function = getattr(pytest.importorskip("sklearn.metrics"), name)
    labels, scores = truth.flatten().numpy(), maps.flatten().numpy()
    timed(case, "scikit-learn", lambda: function(labels, scores), "rival")


def bench_numpy_aupro(timed: Timed, maps: Tensor, truth: Tensor) -> None:
    scores, regions = maps.numpy(), truth.numpy()
    timed(AUPRO, "NumPy, SciPy", lambda: aupro(scores, regions), "rival")


def bench_scikit_learn_all(timed: Timed, maps: Tensor, truth: Tensor) -> None:
    """The same four numbers from scikit-learn and NumPy."""
    sklearn = pytest.importorskip("sklearn.metrics")
    scores, regions = maps.numpy(), truth.numpy()
    labels, flat = regions.ravel(), scores.ravel()

    def everything() -> tuple[float, ...]:
        precision, recall, _ = sklearn.precision_recall_curve(labels, flat)
        f1 = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
        curves = sklearn.roc_auc_score(labels, flat), sklearn.average_precision_score(labels, flat)
        return *curves, f1, aupro(scores, regions)

    timed(ALL, "scikit-learn, NumPy", everything, "rival")


@pytest.mark.parametrize("case", [AUROC, AP, AUPRO, ALL])
def bench_memcpy(timed: Timed, maps: Tensor, truth: Tensor, case: str) -> None:
    """Scores and truth, read once."""
    timed(case, "memcpy", memcpy(size(maps, truth)), "floor")
