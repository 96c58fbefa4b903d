# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from dssm import Detector, methods
from dssm.methods.patchcore import PatchCore, reweight


@pytest.fixture(scope="module")
def fitted(surfaces: Tensor) -> Detector:
    settings = methods.defaults("patchcore").replace(size=(64, 64))
    return Detector(settings, device="cpu").fit(surfaces, progress=False)


def test_patches_are_means_of_neighbours(fitted: Detector, surfaces: Tensor) -> None:
    method = fitted.method
    assert isinstance(method, PatchCore)
    fine, coarse = method.network(surfaces[:1])
    patches = method._patches(surfaces[:1])
    assert patches.shape == (1, 8, 8, 40 + 112)
    torch.testing.assert_close(patches[0, 3, 4, :40], fine[0, :, 2:5, 3:6].mean((1, 2)))
    # The centre of the finer grid's cells 1 and 2 lies between those of the coarser one's cells 0 and 1.
    pooled = [coarse[0, :, y - 1 : y + 2, x - 1 : x + 2].mean((1, 2)) for y in (1, 2) for x in (1, 2)]
    wanted = torch.stack(pooled).T @ torch.tensor([0.5625, 0.1875, 0.1875, 0.0625])
    torch.testing.assert_close(patches[0, 3, 3, 40:], wanted, rtol=1e-4, atol=1e-5)


def test_score_is_the_papers_formula(fitted: Detector, surfaces: Tensor) -> None:
    method = fitted.method
    assert isinstance(method, PatchCore)
    assert method.bank is not None
    patches = method._patches(surfaces[:1]).flatten(0, 2).numpy()
    bank = method.bank.numpy()
    distances, numbers = NearestNeighbors(n_neighbors=1).fit(bank).kneighbors(patches)
    worst = distances[:, 0].argmax()
    around = NearestNeighbors(n_neighbors=9).fit(bank).kneighbors(bank[numbers[worst]])[1][0]
    exponents = np.exp(np.linalg.norm(patches[worst] - bank[around], axis=1))
    wanted = (1 - np.exp(distances[worst, 0]) / exponents.sum()) * distances[worst, 0]
    assert method.score(surfaces[:1])[0].item() == pytest.approx(wanted, rel=1e-3)


def test_a_match_among_many_weighs_less() -> None:
    bank = torch.cat([torch.zeros(8, 3), torch.eye(3) * 5])  # eight alike, three alone
    crowd, alone = bank[:1], bank[8:9]
    patch = torch.tensor([[-1.0, 0.0, 0.0]])
    assert reweight(patch, crowd, bank).item() < reweight(patch + alone, alone, bank).item() <= 1


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
