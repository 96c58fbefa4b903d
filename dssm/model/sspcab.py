# SPDX-License-Identifier: Apache-2.0
"""The self-supervised predictive convolutional attentive block (SSPCAB): a layer that predicts its own input."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dssm import ops
from dssm.model.attention import ChannelAttention

LOSS_WEIGHT = 0.1  # lambda of the paper
_GAP = 1  # d of the paper
_REDUCTION = 8


class SSPCAB(nn.Module):
    """x^ = s Z, Z = relu(sum_i W_i * K_i + b), s = sigmoid(W2 relu(W1 mean(Z))); (B, C, H, W) -> the same shape.

    Ristea et al., "Self-supervised predictive convolutional attentive block for anomaly detection", CVPR 2022, written
    from the paper alone. A filter of side 2 k' + 2 d + 1 keeps four corners K_i of side k' and hides all between them,
    so a position is predicted from four diagonal neighbours, never from itself; k' = d = 1, the paper's choice.

    With k' = 1 the corners lie d + 1 from the middle: the masked convolution of `ops.mscm` with dilation d + 1 and
    ReLU for its sigmoid. With larger k' the two differ at the borders, where `ops.mscm` pads each window by itself.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4, width, width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.weight, std=(2 / (4 * width)) ** 0.5)  # He et al. 2015: 4 C inputs, then ReLU
        self.attention = ChannelAttention(width, min(_REDUCTION, width))
        self.error: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """In training the mean squared error of the prediction is kept until `predictive_loss` takes it."""
        predicted = ops.mscm(
            x, self.weight, self.bias, dilation=_GAP + 1, activation="relu", attention=self.attention.weights
        )
        if self.training:
            self.error = F.mse_loss(predicted.float(), x.float())
        return predicted


def predictive_loss(network: nn.Module) -> dict[str, Tensor]:
    """The weighted loss of the network's blocks in the pass just made, as a term of training; none without a block."""
    blocks = [module for module in network.modules() if isinstance(module, SSPCAB)]
    errors = [block.error for block in blocks if block.error is not None]
    for block in blocks:
        block.error = None  # a graph that outlives its step would hold all activations
    return {"predict": LOSS_WEIGHT * torch.stack(errors).sum()} if errors else {}
