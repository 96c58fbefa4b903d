# SPDX-License-Identifier: Apache-2.0
"""The losses of DRAEM: structural similarity for the picture, focal loss for the defects."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOW, _SIGMA = 11, 1.5
_K1, _K2 = 0.01**2, 0.03**2


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity of images (B, C, H, W) in [0, 1]: a scalar, 1 for equal ones; differentiable in both.

    The mean over all windows of (2 mx my + k1) (2 sxy + k2) / ((mx^2 + my^2 + k1) (sx^2 + sy^2 + k2)), the moments
    weighted by a Gaussian of sigma 1.5, cut to 11x11 pixels that lie inside the image (Wang et al. 2004).
    """
    offsets = torch.arange(_WINDOW, dtype=x.dtype, device=x.device) - _WINDOW // 2
    weights = torch.exp(-0.5 * (offsets / _SIGMA) ** 2)
    weights = weights / weights.sum()
    planes = torch.cat([x, y, x * x, y * y, x * y], dim=1).flatten(0, 1)[:, None].contiguous()
    smooth = F.conv2d(F.conv2d(planes, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    mx, my, xx, yy, xy = smooth.view(len(x), 5, x.shape[1], *smooth.shape[2:]).unbind(1)
    alike = (2 * mx * my + _K1) * (2 * (xy - mx * my) + _K2)
    spread = (mx**2 + my**2 + _K1) * (xx - mx**2 + yy - my**2 + _K2)
    return (alike / spread).mean()


def focal(logits: Tensor, truth: Tensor, gamma: float = 2.0) -> Tensor:
    """-mean((1 - p)^gamma log p), p the probability given to the truth (Lin et al. 2017); logits, truth bool (...)."""
    log_p = F.logsigmoid(torch.where(truth, logits, -logits))
    return -((1 - log_p.exp()) ** gamma * log_p).mean()
