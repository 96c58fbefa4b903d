# SPDX-License-Identifier: Apache-2.0
"""Region weights against SciPy's labels, on every layout and on anything that hypothesis draws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label
from torch import Tensor

from dssm import backends
from dssm.errors import InputError
from dssm.ops import region

BACKENDS = backends.available("region", "cpu")
each_backend = pytest.mark.parametrize("backend", BACKENDS)


def labelled(masks: Tensor) -> Tensor:
    """The weights from SciPy's 8-connected labels."""
    weights = np.zeros(masks.shape)
    for plane, mask in zip(weights, masks.numpy(), strict=True):
        parts, _ = label(mask, np.ones((3, 3)))
        areas = np.bincount(parts.ravel())
        plane[mask] = 1 / areas[parts[mask]]
    return torch.from_numpy(weights)


@each_backend
@pytest.mark.parametrize("density", [0.1, 0.4, 0.7])
def test_weights_equal_labelled_areas(
    density: float, layout: Callable, backend: str, generator: torch.Generator
) -> None:
    masks = layout(torch.rand(3, 23, 37, generator=generator) < density)
    assert torch.equal(region(masks, backend=backend), labelled(masks))


@pytest.mark.skipif("cpu" not in BACKENDS, reason="the extension is not built")
@given(st.integers(1, 40), st.integers(1, 70), st.floats(0, 1), st.integers(0, 2**31))
@settings(max_examples=80, deadline=None)
def test_kernel_equals_labelled_areas(height: int, width: int, density: float, seed: int) -> None:
    masks = torch.rand(2, height, width, generator=torch.Generator().manual_seed(seed)) < density
    assert torch.equal(region(masks, backend="cpu"), labelled(masks))


@each_backend
def test_a_spiral_is_one_region(backend: str) -> None:
    """Runs of one region that meet late: the union of unions."""
    spiral = torch.zeros(1, 41, 41, dtype=torch.bool)
    for ring in range(0, 20, 2):
        spiral[0, ring, ring : 41 - ring] = spiral[0, ring : 41 - ring, 40 - ring] = True
        spiral[0, 40 - ring, ring : 41 - ring] = spiral[0, ring + 2 : 41 - ring, ring] = True
        spiral[0, ring + 2, ring + 1] = True
    assert torch.equal(region(spiral, backend=backend), spiral / spiral.sum().double())


@each_backend
@pytest.mark.parametrize("shape", [(0, 4, 4), (2, 0, 4), (2, 4, 0), (3, 1, 1)])
def test_extreme_shapes(shape: tuple[int, int, int], backend: str) -> None:
    weights = region(torch.ones(shape, dtype=torch.bool), backend=backend)
    assert torch.equal(weights, torch.ones(shape, dtype=torch.float64))


@each_backend
def test_registration(backend: str) -> None:
    torch.library.opcheck(torch.ops.dssm.region.default, (torch.eye(5).bool()[None], backend))


@pytest.mark.parametrize("mask", [torch.zeros(3, 3, dtype=torch.bool), torch.zeros(1, 3, 3)])
def test_bad_input(mask: Tensor) -> None:
    with pytest.raises(InputError, match="mask must"):
        region(mask)
