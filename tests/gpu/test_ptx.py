# SPDX-License-Identifier: Apache-2.0
"""Every Triton kernel as it is compiled for sm_80, executed on NumPy beside the reference."""

from __future__ import annotations

import torch

from dssm.kernels.blend import blend

from .ptx.device import numpy_device


def test_it():
    im = torch.rand(2,3,17,43)
    m = torch.rand(2,17,43)>.5
    a=torch.rand(2)
    with numpy_device() as ran:
        out = blend(im, im.flip(0), m, a)
    assert ran
    from dssm.reference.blend import blend as r
    torch.testing.assert_close(out, r(im, im.flip(0), m, a))
