# SPDX-License-Identifier: Apache-2.0
"""The network as it scores gives what the trained one gives."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from dssm import methods
from dssm.methods import Method
from dssm.model import efficientnet, inference
from dssm.settings import Settings, preset

PAPER = preset("paper")


def method(settings: Settings, surfaces: Tensor, size: tuple[int, int]) -> Method:
    """Random weights, and averages that are not those of an untrained network."""
    torch.manual_seed(0)
    built = methods.build(settings)
    built.network.eval()
    for module in built.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 2.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.2, 0.2),
            ):
                assert value is not None
                value.uniform_(low, high)
    images = nn.functional.interpolate(surfaces.float(), size=size).to(torch.uint8)
    with torch.no_grad():
        built.fit([images[:8], images[8:16]])
        built.calibrate([images[:8]])
    return built


@pytest.mark.parametrize(
    "settings",
    [
        PAPER,
        preset("quick"),
        preset("best").replace(weights=None, bank=20, discriminator=5),
        methods.defaults("padim").replace(weights=None),
        methods.defaults("patchcore").replace(weights=None, backbone="resnet18"),
        methods.defaults("cutpaste"),
        methods.defaults("cdo"),
        methods.defaults("students"),
        methods.defaults("draem").replace(width=0.25),
    ],
    ids=lambda settings: f"{settings.method} {settings.backbone} {settings.map}",
)
def test_scores_and_maps_stay(settings: Settings, surfaces: Tensor) -> None:
    slow = method(settings.replace(size=(64, 64)), surfaces, (64, 64))
    before = {name: value.clone() for name, value in slow.state().items()}
    fast = slow.for_scoring()
    with torch.no_grad():
        for images in (surfaces[16:17], surfaces[16:]):
            for ours, expected in zip(fast.score(images), slow.score(images), strict=True):
                scale = float(expected.abs().max())
                torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4 * scale)
    assert all(torch.equal(before[name], value) for name, value in slow.state().items())


@pytest.mark.parametrize("size", [(64, 64), (96, 224)])
@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet-lite0"])
def test_slices_change_nothing(
    backbone: str, size: tuple[int, int], surfaces: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = preset("quick").replace(backbone=backbone, size=size)
    fast = method(settings, surfaces, size).for_scoring()
    images = nn.functional.interpolate(surfaces[:5].float(), size=size).to(torch.uint8)
    with torch.no_grad():
        whole = fast.score(images)
        monkeypatch.setattr(inference, "_VALUES", 24 * size[0] * size[1] * 2)
        for ours, expected in zip(fast.score(images), whole, strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-3)


def test_nothing_is_normalised_any_more(surfaces: Tensor) -> None:
    for settings in (preset("quick"), preset("best").replace(weights=None, bank=20, discriminator=5)):
        network = method(settings.replace(size=(64, 64)), surfaces, (64, 64)).for_scoring().network
        found = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
        assert found == []


def test_weights_are_shared_where_they_are_not_folded(surfaces: Tensor) -> None:
    slow = method(preset("quick").replace(size=(64, 64)), surfaces, (64, 64))
    fast = slow.for_scoring()
    pairs = zip(slow.network.get_submodule("segmenter.laterals").parameters(),
                fast.network.get_submodule("segmenter.laterals").parameters(), strict=True)  # fmt: skip
    assert all(a is b for a, b in pairs)


def test_bfloat16_is_near(surfaces: Tensor) -> None:
    slow = method(PAPER.replace(size=(64, 64)), surfaces, (64, 64))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        stages = slow.for_scoring(torch.bfloat16).network.stages(surfaces)
    with torch.no_grad():
        expected = slow.network.stages(surfaces)
    for ours, full in zip(stages, expected, strict=True):
        assert ours.dtype == torch.bfloat16
        assert (ours - full).abs().mean() < 0.02 * full.abs().mean()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize(
    ("channels", "size"), [(32, (16, 16)), (64, (15, 33)), (512, (32, 32)), (512, (8, 8)), (512, (5, 7))]
)
@pytest.mark.parametrize("shortcut", [False, True])
def test_a_folded_convolution_is_all_that_it_replaces(
    backend: str, channels: int, size: tuple[int, int], shortcut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSSM_BACKEND", backend)
    torch.manual_seed(0)
    convolution = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
    norm = inference.Normalization(channels).eval()
    for value in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
        value.uniform_(0.5, 1.5)
    folded = inference.Folded(convolution, norm, torch.float32)
    x, added = (torch.randn(3, channels, *size).to(memory_format=torch.channels_last) for _ in range(2))
    for relu in (True, False):
        with torch.no_grad():
            expected = norm(convolution(x), added if shortcut else None, relu)
            kept = added.clone()
            ours = folded(x, added if shortcut else None, relu)
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(added, kept)
        assert (ours.min() >= 0) == relu


@pytest.mark.parametrize(("channels", "size"), [(64, (40, 40)), (256, (16, 16)), (512, (8, 8))])
def test_a_folded_convolution_is_the_same_for_any_number_of_threads(
    channels: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads share one block of tiles, or have one each."""
    monkeypatch.setenv("DSSM_BACKEND", "cpu")
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), inference.Normalization(channels).eval()
    folded = inference.Folded(convolution, norm, torch.float32)
    assert folded.kernel.points is not None
    x = torch.randn(1, channels, *size).to(memory_format=torch.channels_last)
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(folded(x))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_weights_are_not_packed_for_onednn(surfaces: Tensor) -> None:
    """With two threads that made the network eight times as slow. Times would tell, too, but not on a busy machine."""
    for settings in (preset("quick"), preset("best").replace(weights=None, bank=20, discriminator=5)):
        network = method(settings.replace(size=(64, 64)), surfaces, (64, 64)).for_scoring().network
        assert {value.layout for value in (*network.parameters(), *network.buffers())} == {torch.strided}


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("size", [(2, 3), (5, 7), (18, 33)])
@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "stride", "groups"),
    [
        (32, 32, 3, 1, 32),
        (48, 48, 3, 2, 48),
        (48, 48, 5, 1, 48),
        (32, 32, 5, 2, 32),
        (20, 20, 5, 1, 20),
        (16, 96, 1, 1, 1),
        (24, 40, 1, 1, 1),
        (7, 5, 1, 1, 1),
        (3, 32, 3, 2, 1),
    ],
)
def test_the_convolutions_of_efficientnet_fold(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int, size: tuple[int, int], backend: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("DSSM_BACKEND", backend)
    torch.manual_seed(0)
    convolution = efficientnet.Convolution(inputs, outputs, kernel, stride, groups)
    norm = nn.BatchNorm2d(outputs).eval()
    for value in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
        value.uniform_(0.5, 1.5)
    folded = inference.Folded(convolution, norm, torch.float32)
    x = 3 * torch.randn(3, inputs, *size).to(memory_format=torch.channels_last)
    with torch.no_grad():
        for relu6 in (True, False):
            expected = efficientnet._normalized(x, convolution, norm, relu6=relu6)
            ours = efficientnet._normalized(x, nn.Identity(), folded, relu6=relu6)
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
            if relu6:
                assert expected.max() <= 6
        shortcut = torch.randn(expected.shape).to(memory_format=torch.channels_last)
        expected = efficientnet._normalized(x, convolution, norm, shortcut=shortcut)
        ours = efficientnet._normalized(x, nn.Identity(), folded, shortcut=shortcut)
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("given", "found"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_that_wait_sleep_unless_told_otherwise(given: dict[str, str], found: str) -> None:
    code = "import dssm, os, sys; assert 'torch' not in sys.modules; print(os.environ['OMP_WAIT_POLICY'])"
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"} | given
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == found
