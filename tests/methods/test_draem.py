# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from dssm import Detector, methods
from dssm.data import load_textures
from dssm.errors import InputError
from dssm.methods.draem import DRAEM, make_pairs, turned
from dssm.methods.draem_loss import focal, ssim
from dssm.methods.draem_network import DraemNetwork
from dssm.settings import Settings


@pytest.fixture(scope="module")
def small() -> Settings:
    """A network of 8 and 4 channels that learns fast."""
    settings = methods.defaults("draem")
    return settings.replace(size=(32, 32), width=1 / 16, batch=8, rate=0.003, epochs=None, samples=480)


@pytest.fixture(scope="module")
def textures() -> Tensor:
    return load_textures("builtin", (64, 64))


def test_ssim_equals_scikit_images(surfaces: Tensor) -> None:
    x, y = surfaces[:4].float() / 255, surfaces[4:8].float() / 255
    theirs = [
        structural_similarity(
            a.numpy(), b.numpy(), channel_axis=0, data_range=1, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )
        for a, b in zip(x.double(), y.double(), strict=True)
    ]  # fmt: skip
    assert ssim(x.double(), y.double()).item() == pytest.approx(np.mean(theirs), rel=1e-9)
    assert ssim(x, x).item() == pytest.approx(1, abs=1e-6)


def test_focal_equals_its_formula() -> None:
    logits, truth = torch.linspace(-3, 3, 12).view(3, 4), torch.arange(12).view(3, 4) % 3 == 0
    terms = []
    for logit, is_true in zip(logits.flatten().tolist(), truth.flatten().tolist(), strict=True):
        p = 1 / (1 + np.exp(-logit))
        p = p if is_true else 1 - p
        terms.append(-((1 - p) ** 2) * np.log(p))
    assert focal(logits, truth).item() == pytest.approx(np.mean(terms), rel=1e-6)


def test_turning(surfaces: Tensor) -> None:
    still, quarter = torch.zeros(2), torch.full((2,), torch.pi / 2)
    assert torch.equal(turned(surfaces[:2], still), surfaces[:2])
    assert torch.equal(turned(surfaces[:2], quarter), surfaces[:2].rot90(1, (2, 3)))
    oblong = torch.zeros(1, 3, 32, 96, dtype=torch.uint8)
    oblong[:, :, 15:17, 40:56] = 255  # a bar of 2 x 16 stands upright, as long as before
    upright = turned(oblong, quarter[:1])[0, 0, :, 32:64] > 127  # beside it lie its mirror images
    assert upright.any(1).sum() == 16
    assert upright.any(0).sum() == 2


def test_pairs_differ_inside_the_masks(surfaces: Tensor, textures: Tensor, small: Settings) -> None:
    index = torch.arange(8)
    clean, spoilt, masks = make_pairs(surfaces[:8], textures, index, small)
    assert torch.equal(clean[:8], spoilt[:8])
    assert not masks[:8].any()
    assert masks[8:].any()
    outside = ~masks[:, None].expand_as(clean)
    assert torch.equal(clean[outside], spoilt[outside])
    assert (clean != spoilt).any(1)[masks].float().mean() > 0.9
    unturned = (clean[:8] == surfaces[:8]).flatten(1).all(1)
    assert 0 < unturned.sum() < 8

    alone = make_pairs(surfaces[5:6], textures, index[5:6], small)
    assert torch.equal(alone[1][1], spoilt[13])


def test_the_networks_have_the_papers_size() -> None:
    network = DraemNetwork(1 / 4)
    restored, logits = network(torch.zeros(1, 3, 32, 64, dtype=torch.uint8))
    assert restored.shape == (1, 3, 32, 64)
    assert logits.shape == (1, 32, 64)
    count = [sum(p.numel() for p in part.parameters()) / 1e6 for part in (network.reconstruct, network.discriminate)]
    assert count == pytest.approx([69.05 / 16, 28.37 / 16], rel=0.01)  # millions; of the published code, over 4^2


def test_it_learns(small: Settings, surfaces: Tensor) -> None:
    detector = Detector(small.replace(samples=960), device="cpu").fit(surfaces, progress=False)
    scratched = surfaces.clone()
    scratched[:, :, 20:26, 10:50] = 20
    good, bad = (np.array([p.score for p in detector.predict(x)]) for x in (surfaces, scratched))
    assert bad.min() > good.max()


@pytest.mark.parametrize("sspcab", [False, True])
def test_it_saves_and_loads(sspcab: bool, small: Settings, surfaces: Tensor, tmp_path: Path) -> None:
    detector = Detector(small.replace(sspcab=sspcab, epochs=1, batch=48), device="cpu")
    detector.fit(surfaces, folder=tmp_path, progress=False).save(tmp_path)
    assert ("predict" in (tmp_path / "log.csv").read_text()) == sspcab
    again = Detector.load(tmp_path, device="cpu").predict(surfaces[:2])
    for a, b in zip(detector.predict(surfaces[:2]), again, strict=True):
        assert a.score == b.score
        assert np.array_equal(a.map, b.map)


def test_weights_of_a_backbone_are_refused(small: Settings) -> None:
    with pytest.raises(InputError, match="leave out the setting weights"):
        DRAEM(small.replace(weights="resnet18.pt")).load_weights()
