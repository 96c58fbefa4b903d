# SPDX-License-Identifier: Apache-2.0
"""A step of training and a detector whose ops run as they would on a GPU, Triton's kernels where there are any."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from dssm import Detector, backends
from dssm.cli.bench import module
from dssm.data import load_textures
from dssm.methods.dssm import DSSM
from dssm.model.backbone import ResNet18
from dssm.settings import Settings, preset
from dssm.training import train

guard, interpreter = module("guard"), module("interpreter")


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixteenth of the products in the last stage, which the interpreter takes minutes for."""
    monkeypatch.setattr(ResNet18, "widths", (64, 64, 64, 128))


@contextmanager
def backend(name: str) -> Iterator[dict[str, Any]]:
    """Inside, ops run by this backend and, where it has no kernel, by the reference; yields the kernels that ran."""
    backends._choose.cache_clear()
    with (
        patch.dict(os.environ, DSSM_BACKEND=name),
        patch.dict(backends._DEVICES, cpu=("reference",)),  # C++ kernels would differ too
        interpreter.faithful(),
        guard.Guard(orders=("forward",)).watching() as watch,
    ):
        yield watch.traffic
    backends._choose.cache_clear()


def ops_of(kernels: dict[str, Any]) -> set[str]:
    """_hog_fwd_kernel -> hog."""
    return {name.split("_")[1] for name in kernels}


def near(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """To within the tolerance, relative to each element or to the largest one."""
    scale = float(expected.abs().max())
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance * scale)


def step(images: Tensor, settings: Settings) -> tuple[dict[str, float], dict[str, Tensor]]:
    """The losses of one step, and the gradients of all weights."""
    torch.manual_seed(settings.seed)
    method = DSSM(settings)
    textures = load_textures("builtin", (64, 64))
    (row,) = train(method, images, textures, progress=False)
    losses = {name: row[name] for name in ("loss", "classify", "regress", "segment") if name in row}
    return losses, {name: weight.grad for name, weight in method.network.named_parameters() if weight.grad is not None}


def test_a_training_step_is_that_of_the_reference(surfaces: Tensor) -> None:
    images = surfaces[:2]
    settings = preset("quick").replace(size=(64, 64), batch=2 * len(images), epochs=1, precision="float32")
    with backend("triton") as kernels:
        losses, grads = step(images, settings)
    with backend("reference") as others:
        expected_losses, expected_grads = step(images, settings)
    assert ops_of(kernels) == {"augment", "paste", "hog", "mscm"}
    assert any(name.startswith("_mscm") and name.endswith("_bwd_kernel") for name in kernels)
    assert not others
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    assert grads.keys() == expected_grads.keys()
    for weight in grads:
        near(grads[weight], expected_grads[weight], 1e-5)


def test_a_detector_is_that_of_the_reference(surfaces: Tensor) -> None:
    """Without training: from the same weights, the Gaussians, the scores, the maps and the thresholds."""
    settings = preset("quick").replace(
        size=(64, 64), epochs=0, pooled_stages=(2,), map_channels=20, precision="float32"
    )

    def fitted() -> tuple[dict[str, float], list[Any]]:
        detector = Detector(settings, device="cpu").fit(surfaces[:12], progress=False)
        return detector.thresholds, detector.predict(surfaces[12:14])

    with backend("triton") as kernels:
        thresholds, predictions = fitted()
    with backend("reference"):
        expected_thresholds, expected = fitted()
    assert ops_of(kernels) == {"covariance", "mahalanobis"}
    assert thresholds == pytest.approx(expected_thresholds, rel=1e-5, abs=1e-5)  # one lies near 0, of maps around it
    for ours, theirs in zip(predictions, expected, strict=True):
        assert ours.score == pytest.approx(theirs.score, rel=1e-5)
        near(torch.from_numpy(ours.map), torch.from_numpy(theirs.map), 1e-5)
