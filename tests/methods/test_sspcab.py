# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dssm.model.sspcab import SSPCAB, predictive_loss


@pytest.fixture
def block() -> SSPCAB:
    torch.manual_seed(0)
    block = SSPCAB(16)
    nn.init.uniform_(block.bias)
    return block


def test_it_is_a_5x5_convolution_of_corners_and_squeeze_excitation(block: SSPCAB) -> None:
    x = torch.randn(2, 16, 9, 7)
    kernel = torch.zeros(16, 16, 5, 5)
    for window, (row, column) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)]):
        kernel[:, :, row, column] = block.weight[window, :, :, 0, 0]
    z = F.conv2d(x, kernel, block.bias, padding=2).relu()
    squeeze, excite = block.attention.squeeze, block.attention.excite
    assert squeeze.out_features == 2  # 16 / r
    scale = excite(squeeze(z.mean((2, 3))).relu()).sigmoid()
    torch.testing.assert_close(block(x), z * scale[:, :, None, None], rtol=1e-4, atol=1e-5)


def test_its_loss_is_taken_once(block: SSPCAB) -> None:
    x = torch.randn(2, 16, 8, 8)
    network = nn.Sequential(nn.ReLU(), block)
    predicted = network(x)
    loss = predictive_loss(network)["predict"]
    assert loss.item() == pytest.approx(0.1 * (predicted - x.relu()).square().mean().item(), rel=1e-5)
    assert predictive_loss(network) == {}
    network.eval()(x)
    assert predictive_loss(network) == {}
