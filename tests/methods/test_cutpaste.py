# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dssm import Detector, methods
from dssm.errors import InputError
from dssm.methods.cutpaste import CutPaste, make_views
from dssm.methods.jitter import jitter
from dssm.model.backbone import ResNet18
from dssm.settings import Settings


@pytest.fixture(scope="module")
def small() -> Settings:
    return methods.defaults("cutpaste").replace(size=(64, 64), batch=12, epochs=1)


def scratched(surfaces: Tensor) -> Tensor:
    images = surfaces.clone()
    images[:, :, 20:26, 10:50] = 20
    return images


def test_three_views_of_an_image(surfaces: Tensor) -> None:
    views, labels = make_views(surfaces[:5], torch.arange(5), seed=3, ways=3)
    assert labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    normal, patch, scar = views.chunk(3)
    share = [(view != normal).any(1).float().mean((1, 2)) for view in (patch, scar)]
    assert ((share[0] > 0.01) & (share[0] < 0.16)).all()
    assert ((share[1] > 0) & (share[1] < 0.05)).all()


def test_a_view_does_not_depend_on_its_batch(surfaces: Tensor) -> None:
    together, _ = make_views(surfaces[:4], torch.arange(4), seed=3, ways=2)
    alone, labels = make_views(surfaces[2:3], torch.tensor([2]), seed=3, ways=2)
    assert labels.tolist() == [0, 1]
    assert torch.equal(together[2::4], alone)


def test_jitter_is_small_and_keeps_grey_grey(surfaces: Tensor) -> None:
    index = torch.arange(24)
    jittered = jitter(surfaces, index, seed=1, draw=0)
    moved = (jittered.float() - surfaces.float()).mean((1, 2, 3))
    assert moved.std() > 1
    assert moved.abs().max() < 0.1 * 255
    assert torch.equal(jitter(surfaces, index, seed=1, draw=0, strength=0), surfaces)
    grey = surfaces[:, :1].expand(-1, 3, -1, -1)
    red, green, blue = jitter(grey, index, seed=1, draw=0).int().unbind(1)
    assert (red - green).abs().max() <= 1  # rounding
    assert (red - blue).abs().max() <= 1


def test_hue_turns_colours() -> None:
    red = torch.zeros(64, 3, 8, 8, dtype=torch.uint8)
    red[:, 0] = 200
    turned = jitter(red, torch.arange(64), seed=1, draw=0)[:, :, 0, 0].float()
    assert (turned[:, 1] > 20).any()  # towards yellow
    assert (turned[:, 2] > 20).any()  # towards magenta
    assert (turned.argmax(1) == 0).all()


@pytest.mark.parametrize(("changes", "terms"), [({}, ""), ({"ways": 2, "batch": 8, "sspcab": True}, ",predict")])
def test_it_trains_saves_and_loads(
    changes: dict, terms: str, small: Settings, surfaces: Tensor, tmp_path: Path
) -> None:
    detector = Detector(small.replace(**changes), device="cpu").fit(surfaces, folder=tmp_path, progress=False)
    header, row = (tmp_path / "log.csv").read_text().splitlines()
    assert header == f"epoch,step,rate,loss,classify{terms},seconds,images_per_second"
    assert row.startswith("1,5,")  # 22 images, of which four and their views fill a batch
    good, bad = (np.array([p.score for p in detector.predict(x)]) for x in (surfaces, scratched(surfaces)))
    assert (bad > good).all()
    detector.save(tmp_path)
    again = Detector.load(tmp_path, device="cpu").predict(surfaces[:2])
    for a, b in zip(detector.predict(surfaces[:2]), again, strict=True):
        assert a.score == b.score
        assert np.array_equal(a.map, b.map)


def test_a_preset_for_another_method_does_no_harm(tiny: Settings) -> None:
    assert tiny.segment
    method = CutPaste(tiny.replace(method="cutpaste"))
    assert method.network.segmenter is None
    assert method.network.regressor is None
    assert method.scorer.settings.maps == ("mahalanobis",)


def test_pretrained_weights_go_around_the_block(small: Settings, tmp_path: Path) -> None:
    trained = ResNet18()
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    method = CutPaste(small.replace(sspcab=True, weights=str(tmp_path / "weights.pt")))
    predictive = method.network.backbone.get_submodule("layer4.1.conv1")
    method.load_weights()
    assert method.network.backbone.get_submodule("layer4.1.conv1") is predictive
    assert torch.equal(method.network.backbone.get_parameter("layer4.1.conv2.weight"), trained.layer4[1].conv2.weight)


def test_the_block_needs_its_place(small: Settings) -> None:
    with pytest.raises(InputError, match="resnet18, not in efficientnet-lite0"):
        CutPaste(small.replace(sspcab=True, backbone="efficientnet-lite0"))
