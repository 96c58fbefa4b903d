# SPDX-License-Identifier: Apache-2.0
"""The largest component against SciPy, OpenCV and scikit-image; ties, spirals, sizes and layouts."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import scipy.ndimage
import skimage.measure
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dssm import backends
from dssm.backends import INTERPRETED
from dssm.errors import InputError
from dssm.ops import component

BACKENDS = backends.available("component", "cpu")
each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_connectivity = pytest.mark.parametrize("connectivity", [4, 8])


def largest(labels: np.ndarray) -> Tensor:
    """The label with most pixels, of equal ones the first in raster order. 0 is the background."""
    found, first, areas = np.unique(labels, return_index=True, return_counts=True)
    candidates = [(-area, start, label) for label, start, area in zip(found, first, areas, strict=True) if label]
    return torch.from_numpy(labels == min(candidates)[2] if candidates else np.zeros_like(labels, bool))


def with_scipy(mask: Tensor, connectivity: int) -> Tensor:
    structure = scipy.ndimage.generate_binary_structure(2, 1 if connectivity == 4 else 2)
    return largest(scipy.ndimage.label(mask.numpy(), structure)[0])


def with_opencv(mask: Tensor, connectivity: int) -> Tensor:
    return largest(cv2.connectedComponentsWithStats(mask.numpy().astype(np.uint8), connectivity=connectivity)[1])


def with_skimage(mask: Tensor, connectivity: int) -> Tensor:
    return largest(skimage.measure.label(mask.numpy(), connectivity=1 if connectivity == 4 else 2))


def drawing(*rows: str) -> Tensor:
    return torch.tensor([[character == "#" for character in row] for row in rows])[None]


def snake(height: int, width: int) -> Tensor:
    """One path that fills every second row and turns at alternating ends."""
    mask = torch.zeros(1, height, width, dtype=torch.bool)
    mask[:, ::2] = True
    mask[:, 1::4, -1] = True
    mask[:, 3::4, 0] = True
    return mask


def spiral(size: int) -> Tensor:
    """One path that winds inwards with a gap of one pixel."""
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    margin, start = 0, 0
    while margin < size - margin:
        low, high = margin, size - 1 - margin
        mask[0, low, start : high + 1] = True
        mask[0, low : high + 1, high] = True
        mask[0, high, low : high + 1] = True
        mask[0, low + 2 : high + 1, low] = True
        margin, start = margin + 2, margin
    return mask


@each_backend
@each_connectivity
@pytest.mark.parametrize("density", [0.1, 0.4, 0.6, 0.9])
@pytest.mark.parametrize("size", [(1, 1), (1, 37), (41, 1), (24, 64), (33, 65), (9, 191)])
def test_equals_the_oracles(
    size: tuple[int, int], density: float, connectivity: int, backend: str, generator: torch.Generator
) -> None:
    masks = torch.rand(1 if INTERPRETED else 4, *size, generator=generator) < density
    for mask, result in zip(masks, component(masks, connectivity=connectivity, backend=backend), strict=True):
        for oracle in (with_scipy, with_opencv, with_skimage):
            assert torch.equal(result, oracle(mask, connectivity))


@settings(max_examples=10 if INTERPRETED else 60, deadline=None)
@given(
    size=st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, 140)),
    density=st.floats(0, 1),
    connectivity=st.sampled_from([4, 8]),
    seed=st.integers(0, 2**31),
)
def test_backends_agree(size: tuple[int, int, int], density: float, connectivity: int, seed: int) -> None:
    masks = torch.rand(size, generator=torch.Generator().manual_seed(seed)) < density
    results = [component(masks, connectivity=connectivity, backend=backend) for backend in BACKENDS]
    assert all(torch.equal(result, results[0]) for result in results)


@each_backend
@each_connectivity
def test_of_equal_components_the_first_in_raster_order_stays(connectivity: int, backend: str) -> None:
    mask = drawing("...##", "#....", "#....", "...##")
    expected = drawing("...##", ".....", ".....", ".....")
    assert torch.equal(component(mask, connectivity=connectivity, backend=backend), expected)


@each_backend
def test_first_means_first_pixel_not_first_column(backend: str) -> None:
    mask = drawing("...#", "##.#", "...#", "#...")
    mask[0, 2, 0] = True  # left: a square of 3 and a bit, right: 3 pixels that begin higher
    expected = drawing("....", "##..", "#...", "#...")
    assert torch.equal(component(mask, connectivity=4, backend=backend), expected)


@each_backend
def test_diagonals_connect_only_with_connectivity_8(backend: str) -> None:
    mask = drawing("#..#", ".##.", ".##.", "#..#")
    assert torch.equal(component(mask, backend=backend), mask)
    assert torch.equal(component(mask, connectivity=4, backend=backend), drawing("....", ".##.", ".##.", "...."))


@each_backend
def test_rows_do_not_wrap_around(backend: str) -> None:
    mask = drawing("..##", "##..", "..#.")
    assert torch.equal(component(mask, connectivity=4, backend=backend), drawing("..##", "....", "...."))


@each_backend
@each_connectivity
@pytest.mark.parametrize("mask", [snake(63, 40), spiral(33)], ids=["snake", "spiral"])
def test_long_paths_stay_whole(mask: Tensor, connectivity: int, backend: str) -> None:
    lonely = torch.nn.functional.pad(mask, (2, 0, 2, 0))
    lonely[:, 0, 0] = True
    expected = lonely.clone()
    expected[:, 0, 0] = False
    assert torch.equal(component(lonely, connectivity=connectivity, backend=backend), expected)


@each_backend
@pytest.mark.parametrize("mask", [snake(60, 290), spiral(75)], ids=["snake", "spiral"])
def test_paths_that_cross_the_tiles_of_many_programs_stay_whole(mask: Tensor, backend: str) -> None:
    """And two paths side by side stay apart."""
    assert torch.equal(component(mask, backend=backend), mask)
    rest = ~torch.nn.functional.pad(mask, (1, 1, 1, 1))
    assert torch.equal(component(rest, connectivity=4, backend=backend)[0], with_scipy(rest[0], 4))


@each_backend
def test_all_or_nothing(backend: str) -> None:
    for value in (True, False):
        mask = torch.full((2, 9, 17), value)
        assert torch.equal(component(mask, backend=backend), mask)


@each_backend
@pytest.mark.parametrize("size", [(0, 5, 5), (2, 0, 5), (2, 5, 0), (0, 0, 0)])
def test_empty(size: tuple[int, int, int], backend: str) -> None:
    assert component(torch.zeros(size, dtype=torch.bool), backend=backend).shape == size


@each_backend
@each_connectivity
def test_memory_layout_does_not_matter(
    layout: Callable, connectivity: int, backend: str, generator: torch.Generator
) -> None:
    mask = layout(torch.rand(3, 13, 70, generator=generator) < 0.5)
    before = mask.clone()
    result = component(mask, connectivity=connectivity, backend=backend)
    assert torch.equal(result, component(mask.contiguous(), connectivity=connectivity, backend="reference"))
    assert result.is_contiguous()
    assert torch.equal(mask, before)


@pytest.mark.skipif("cpu" not in BACKENDS, reason="needs the C++ kernel")
@each_connectivity
def test_16_megapixels(connectivity: int, generator: torch.Generator) -> None:
    """Near the percolation threshold, where components are largest and most ragged."""
    density = 0.41 if connectivity == 8 else 0.59
    mask = torch.rand(1, 4096, 4096, generator=generator) < density
    result = component(mask, connectivity=connectivity, backend="cpu")
    assert torch.equal(result[0], with_scipy(mask[0], connectivity))


@each_backend
def test_registration(backend: str, generator: torch.Generator) -> None:
    mask = torch.rand(2, 9, 9, generator=generator) < 0.5
    torch.library.opcheck(torch.ops.dssm.component.default, (mask, 8, backend))
    compiled = torch.compile(lambda m: component(m, backend=backend), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(mask), component(mask, backend=backend))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask": [[True]]}, "mask must be a tensor, not list"),
        ({"mask": torch.zeros(4, 4, dtype=torch.bool)}, "mask must have 3 dimensions"),
        ({"mask": torch.zeros(1, 4, 4)}, "mask must be one of bool, not float32"),
        ({"connectivity": 6}, "connectivity must be one of 4, 8, not 6"),
    ],
)
def test_bad_input(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        component(**{"mask": torch.zeros(1, 4, 4, dtype=torch.bool), **arguments})
