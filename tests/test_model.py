# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from dssm.errors import InputError
from dssm.model import Network
from dssm.model.backbone import ResNet18
from dssm.model.masking import MSCM, RectangleMask
from dssm.model.weights import load_weights
from dssm.settings import Settings


def test_table_1_sizes() -> None:
    stages = ResNet18().eval()(torch.zeros(1, 3, 256, 256))
    assert [tuple(stage.shape[1:]) for stage in stages] == [(64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8)]


def test_torchvision_parameter_names() -> None:
    state = ResNet18().state_dict()
    assert sum(value.numel() for value in ResNet18().parameters()) == 11_176_512  # torchvision's less its fc
    assert state["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)
    assert state["layer4.1.bn2.running_var"].shape == (512,)
    assert len(state) == 120  # torchvision's 122 less fc.weight and fc.bias


@pytest.mark.parametrize("name", ["resnet18.pth", "resnet18.safetensors"])
def test_weights_load_from_a_file(name: str, tmp_path: Path) -> None:
    state = {**ResNet18().state_dict(), "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    save = torch.save if name.endswith(".pth") else save_file
    save(state, tmp_path / name)
    backbone = ResNet18()
    load_weights(backbone, tmp_path / name)
    assert all(torch.equal(value, state[key]) for key, value in backbone.state_dict().items())

    del state["layer1.0.conv1.weight"]
    save(state, tmp_path / name)
    with pytest.raises(InputError, match=rf"{name} lacks the tensor 'layer1\.0\.conv1\.weight'"):
        load_weights(backbone, tmp_path / name)
    (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(InputError, match=name):
        load_weights(backbone, tmp_path / name)
    with pytest.raises(InputError, match="missing"):
        load_weights(backbone, tmp_path / "missing.pth")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ways": 2},
        {"segment": True},
        {"mask": "none"},
        {"mask": "dropout"},
        {"mask": "rectangle"},
        {"mscm_shared": True, "mscm_kernel": 3},
        {"regress": "none"},
        {"classify": False, "regress": "rgb"},
    ],
)
def test_every_ablation_gives_gradients_to_every_parameter(changes: dict[str, Any]) -> None:
    settings = Settings().replace(**changes)
    network = Network(settings).train()
    output = network(torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8))
    assert (output.logits is not None) == settings.classify
    assert (output.regressed is not None) == (settings.regress != "none")
    assert (output.segmented is not None) == settings.segment
    if output.logits is not None:
        assert output.logits.shape == (2, 1 if settings.ways == 2 else 3)
    if output.regressed is not None:
        assert output.regressed.shape == (2, 3780)
    if output.segmented is not None:
        assert output.segmented.shape == (2, 16, 24)
    heads = [head for head in (output.logits, output.regressed, output.segmented) if head is not None]
    torch.stack([head.square().mean() for head in heads]).sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []


def test_decoder_is_table_2_at_256() -> None:
    """Adaptive pooling equals the paper's 2x2 poolings where Table 2 applies, and 4096 values leave them."""
    decoder = Network(Settings()).regressor[2]
    x = torch.randn(1, 512, 8, 8)
    sizes = []
    for layer in decoder:
        x = layer(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [
        (8, 64, 64),
        (64, 64, 64),
        (64, 64, 64),
        (64, 32, 32),
        (16, 32, 32),
        (16, 32, 32),
        (16, 16, 16),
        (4096,),
        (3780,),
    ]
    y = torch.randn(1, 2, 64, 64)
    assert torch.equal(decoder[3](y), torch.nn.functional.max_pool2d(y, 2))


def test_mscm_never_sees_its_own_position() -> None:
    x = torch.zeros(1, 8, 9, 9)
    x[:, :, 4, 4] = 1
    module = MSCM(8)
    changed = (module(x) != module(torch.zeros_like(x))).any(1)[0].nonzero().tolist()
    assert changed == [[2, 2], [2, 6], [6, 2], [6, 6]]


def test_rectangle_hides_about_half_while_training() -> None:
    mask = RectangleMask()
    x = torch.ones(200, 1, 8, 8)
    hidden = 1 - mask(x).mean((1, 2, 3))
    assert 0.4 < hidden.mean() < 0.6
    assert hidden.min() > 0.3
    assert torch.equal(mask.eval()(x), x)
