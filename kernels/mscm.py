# SPDX-License-Identifier: Apache-2.0
"""The masked convolution with its activation and channel attention, and their gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from dssm.kernels.mscm_attention import attend, attention_backward
from dssm.kernels.mscm_gradient import inner_gradient, weight_gradient
from dssm.kernels.mscm_map import add_taps, partial_sums
from dssm.kernels.product import computed
from dssm.layout import memory_format
from dssm.reference import mscm as reference


def mscm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    squeeze_weight: Tensor | None,
    squeeze_bias: Tensor | None,
    excite_weight: Tensor | None,
    excite_bias: Tensor | None,
    dilation: int,
    activation: str,
) -> tuple[Tensor, Tensor]:
    """(B, C, H, W) -> (B, Cout, H, W) and what the gradient wants to know of the attention."""
    attention = (squeeze_weight, squeeze_bias, excite_weight, excite_bias)
    if not _suits(x, weight):
        return reference.mscm(x, weight, bias, *attention, dilation, activation)
    out = _empty(x, weight)
    sums = None if squeeze_weight is None else partial_sums(out)
    add_taps(x, _taps(weight), bias, out, dilation, activation, sums=sums)
    return out, out.new_empty(0, dtype=computed(x.dtype)) if sums is None else attend(out, sums, *attention)


def mscm_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    squeeze_weight: Tensor | None,
    squeeze_bias: Tensor | None,
    excite_weight: Tensor | None,
    excite_bias: Tensor | None,
    dilation: int,
    activation: str,
    out: Tensor,
    squeezed: Tensor,
) -> list[Tensor] | None:
    """The gradients of the given tensors; None leaves them to the reference."""
    if not _suits(x, weight):
        return None
    attention = (squeeze_weight, squeeze_bias, excite_weight, excite_bias)
    taps, attention_grads = _taps(weight), []
    mapped, scale, shift = out.contiguous(memory_format=memory_format(x)), None, None
    if squeeze_weight is not None:
        # out / scale would be the map before the attention, but not where the scale underflows.
        mapped, sums = _empty(x, weight), partial_sums(out)
        add_taps(x, taps, bias, mapped, dilation, activation, sums=sums, factor=grad)
        scale = squeezed[1]
        shift, attention_grads = attention_backward(sums.sum(1), squeezed, out[0, 0].numel(), *attention)
    inner, bias_sums = inner_gradient(grad, mapped, scale, shift, activation)
    grad_x = torch.empty_like(x, memory_format=memory_format(x))
    add_taps(inner, taps.transpose(1, 2), None, grad_x, -dilation, "none")
    grad_weight = weight_gradient(inner, x, dilation)
    if weight.shape[0] == 1:
        grad_weight = grad_weight.sum(0, keepdim=True)
    grads = [grad_x, grad_weight.to(weight.dtype).view(weight.shape)]
    if bias is not None:
        grads.append(bias_sums.sum((0, 1)).to(bias.dtype))
    return grads + attention_grads


def _suits(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernels are made for these: 1 x 1 windows, and something to compute."""
    return weight.shape[-1] == 1 and x.numel() > 0 and weight.numel() > 0


def _taps(weight: Tensor) -> Tensor:
    """(4, Cout, C), a window of its own or the shared one for each corner."""
    return weight[..., 0, 0].expand(4, -1, -1)


def _empty(x: Tensor, weight: Tensor) -> Tensor:
    size = (x.shape[0], weight.shape[1], *x.shape[2:])
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=memory_format(x))
