# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dssm import Detector, methods
from dssm.methods.padim import PaDiM


@pytest.fixture(scope="module")
def fitted(surfaces: Tensor) -> Detector:
    settings = methods.defaults("padim").replace(size=(64, 64), map_channels=20, smooth=0.0)
    return Detector(settings, device="cpu").fit(surfaces, progress=False)


def test_the_map_is_the_papers_formula(fitted: Detector, surfaces: Tensor) -> None:
    method = fitted.method
    assert isinstance(method, PaDiM)
    good = fitted.hold_out(surfaces)[1]  # what it was fitted on
    stages = method.network(torch.cat([good, surfaces[:1]]))
    assert [stage.shape[2] for stage in stages] == [16, 8, 4]
    y, x = 3, 5
    columns = [stages[0][:, :, 6:8, 10:12].mean((2, 3)), stages[1][:, :, y, x], stages[2][:, :, y // 2, x // 2]]
    features = torch.cat(columns, dim=1)[:, method.channels].double().numpy()
    fitting, tested = features[:-1], features[-1]
    epsilon = method._features(good).var(0, unbiased=False).mean().item()
    covariance = np.cov(fitting.T) + epsilon * np.eye(20)
    away = tested - fitting.mean(0)
    wanted = np.sqrt(away @ np.linalg.inv(covariance) @ away)

    assert method.gaussian is not None
    assert method.gaussian.mean.shape == (8, 8, 20)
    found = method.gaussian.distance(method._features(surfaces[:1]))
    assert found[0, y, x].item() == pytest.approx(wanted, rel=1e-3)
    score, maps = method.score(surfaces[:1])
    enlarged = F.interpolate(found[:, None], size=(64, 64), mode="bilinear")[:, 0]
    torch.testing.assert_close(maps, enlarged)
    assert score[0] == maps.max()


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
