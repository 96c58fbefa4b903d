# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dssm import Detector, methods
from dssm.methods.students import Students
from dssm.settings import Settings


@pytest.fixture(scope="module")
def settings() -> Settings:
    return methods.defaults("students").replace(size=(64, 64), batch=8, epochs=4, rate=1e-3)


@pytest.fixture(scope="module")
def fitted(settings: Settings, surfaces: Tensor) -> Detector:
    return Detector(settings, device="cpu").fit(surfaces, progress=False)


def test_descriptors_are_standardised(fitted: Detector, surfaces: Tensor) -> None:
    method = fitted.method
    assert isinstance(method, Students)
    with torch.no_grad():
        descriptors, predicted = method.network(fitted.hold_out(surfaces)[1])
    for descriptor, guess in zip(descriptors, predicted, strict=True):
        assert guess.shape == (3, *descriptor.shape)
        rows = descriptor.permute(1, 0, 2, 3).flatten(1)
        torch.testing.assert_close(rows.mean(1), torch.zeros(len(rows)), atol=1e-3, rtol=0)
        torch.testing.assert_close(rows.std(1), torch.ones(len(rows)), atol=1e-2, rtol=0)


def test_errors_are_the_papers_formulas(fitted: Detector, surfaces: Tensor) -> None:
    method = fitted.method
    assert isinstance(method, Students)
    with torch.no_grad():
        descriptors, predicted = method.network(surfaces[:1])
        errors = method._errors(surfaces[:1])
    for descriptor, guess, found in zip(descriptors, predicted, errors, strict=True):
        y, mu = descriptor[0, :, 2, 3].double(), guess[:, 0, :, 2, 3].double()
        mean = mu.mean(0)
        error, variance = (mean - y).square().sum(), mu.square().sum(1).mean() - mean.square().sum()
        torch.testing.assert_close(found[0, :, 2, 3].double(), torch.stack([error, variance]), rtol=1e-4, atol=1e-5)


def test_held_out_images_set_the_scale(fitted: Detector, surfaces: Tensor) -> None:
    method = fitted.method
    assert isinstance(method, Students)
    assert method.scale is not None
    with torch.no_grad():
        errors = method._errors(fitted.hold_out(surfaces)[0])
    for values, scale in zip(errors, method.scale, strict=True):
        torch.testing.assert_close(values.mean((0, 2, 3)), scale[:, 0], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(values.std((0, 2, 3), unbiased=False), scale[:, 1], rtol=1e-3, atol=1e-6)


def test_only_students_learn(settings: Settings, surfaces: Tensor) -> None:
    torch.manual_seed(0)
    method = Students(settings)
    method.network.train()
    before = {name: value.clone() for name, value in method.network.backbone.state_dict().items()}
    terms = method.losses(surfaces[:4], torch.empty(0), torch.arange(4))
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in method.network.backbone.state_dict().items())
    assert all(p.grad is None for p in method.network.backbone.parameters())
    assert all(p.grad is not None for p in method.network.students.parameters())
    first, second = (student.heads[0].weight for student in list(method.network.students)[:2])
    assert not torch.equal(first, second)


def test_it_finds_a_scratch_saves_and_loads(fitted: Detector, surfaces: Tensor, tmp_path: Path) -> None:
    scratched = surfaces.clone()
    scratched[:, :, 20:26, 10:50] = 20
    good, bad = (np.array([p.score for p in fitted.predict(images)]) for images in (surfaces, scratched))
    assert bad.min() > good.max()
    fitted.save(tmp_path)
    again = Detector.load(tmp_path, device="cpu").predict(scratched[:2])
    for a, b in zip(fitted.predict(scratched[:2]), again, strict=True):
        assert a.score == b.score
        assert np.array_equal(a.map, b.map)
