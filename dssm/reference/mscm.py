# SPDX-License-Identifier: Apache-2.0
"""Masked convolution: a pixel is predicted from its diagonal neighbours alone (eq. 6-7); channel attention (eq. 8)."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dssm.layout import memory_format

_ACTIVATIONS = {"sigmoid": torch.sigmoid, "relu": torch.relu, "none": lambda x: x}


def mscm(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    squeeze_weight: torch.Tensor | None,
    squeeze_bias: torch.Tensor | None,
    excite_weight: torch.Tensor | None,
    excite_bias: torch.Tensor | None,
    dilation: int,
    activation: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, C, H, W) -> (B, Cout, H, W): Z = f(sum_i weight[i] * K_i + bias), K_i the windows of x.

    For k = 1 this is one convolution: window (a, b) in {0, 1}^2 at (i, j) is x at (i - d + 2da, j - d + 2db),
    zero outside, so its weight is the tap (a, b) of a 2 x 2 kernel with dilation 2d and padding d.
    For k > 1 every window ends in zeros of its own; the sum over windows is one over four times the channels.

    With attention the result is Z s, s = sigmoid(W2 relu(W1 z + b1) + b2), z the mean of Z over its pixels; the second
    result is (z, s), (2, B, Cout), from which gradients are computed, and empty without attention.
    """
    weight = weight.expand(4, -1, -1, -1, -1)
    if weight.shape[-1] == 1:
        kernel = weight[..., 0, 0].permute(1, 2, 0).unflatten(2, (2, 2))  # (Cout, C, 2, 2)
        total = F.conv2d(x, kernel, bias, padding=dilation, dilation=2 * dilation)
    else:
        stacked = weight.transpose(0, 1).flatten(1, 2)  # (Cout, 4 C, k, k)
        total = F.conv2d(torch.cat(windows(x, dilation), 1), stacked, bias, padding=weight.shape[-1] // 2)
    result = _ACTIVATIONS[activation](total)
    squeezed = result.new_empty(0)
    if squeeze_weight is not None and excite_weight is not None:
        mean = result.mean((2, 3))
        hidden = torch.relu(F.linear(mean, squeeze_weight, squeeze_bias))
        scale = torch.sigmoid(F.linear(hidden, excite_weight, excite_bias))
        result = result * scale[:, :, None, None]
        squeezed = torch.stack([mean, scale])
    kept = torch.float64 if x.dtype == torch.float64 else torch.float32
    return result.contiguous(memory_format=memory_format(x)), squeezed.detach().to(kept)


def windows(x: torch.Tensor, dilation: int) -> list[torch.Tensor]:
    """The four corners, each of x's own size, of x padded by `dilation` zeros: top-left, top-right, ..."""
    height, width = x.shape[2:]
    padded = F.pad(x, (dilation,) * 4)
    starts = (0, 2 * dilation)
    return [padded[:, :, top : top + height, left : left + width] for top in starts for left in starts]
