# SPDX-License-Identifier: Apache-2.0
"""Perlin noise against the textbook formula, pixel by pixel in float64, and what its randomness promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dssm import backends
from dssm.backends import INTERPRETED
from dssm.errors import InputError
from dssm.ops import perlin
from dssm.reference.philox import GRADIENT, SHAPE, integer, philox, uniform

BACKENDS = backends.available("perlin", "cpu")
SIZES = [(1, 1), (1, 300), (37, 1), (24, 32), (19, 45)]
index = torch.tensor([0, 1, 7, 2**31 + 5, 2**62 + 3])


def textbook(
    sample: torch.Tensor, size: tuple[int, int], seed: int, resolution: tuple[int, int], rotate: bool
) -> np.ndarray:
    """The definition of one plane, written with scalars."""
    height, width = size
    words = philox(seed, sample, SHAPE, 0)
    cells_y, cells_x = (2.0 ** int(integer(word, *resolution)) for word in words[:2])
    angle = (float(uniform(words[2])) - 0.5) * math.pi if rotate else 0.0

    def contribution(i: int, j: int, u: float, v: float) -> float:
        word = philox(seed, sample, GRADIENT, (i % 65536) * 65536 + j % 65536)[0]
        phi = 2 * math.pi * float(uniform(word))
        return math.cos(phi) * (u - i) + math.sin(phi) * (v - j)

    def fade(t: float) -> float:
        return 6 * t**5 - 15 * t**4 + 10 * t**3

    plane = np.empty(size)
    for y in range(height):
        for x in range(width):
            dy, dx = y + 0.5 - height / 2, x + 0.5 - width / 2
            u = (math.cos(angle) * dy - math.sin(angle) * dx + height / 2) * cells_y / height
            v = (math.sin(angle) * dy + math.cos(angle) * dx + width / 2) * cells_x / width
            i, j = math.floor(u), math.floor(v)
            f, g = fade(u - i), fade(v - j)
            plane[y, x] = math.sqrt(2) * (
                (1 - f) * ((1 - g) * contribution(i, j, u, v) + g * contribution(i, j + 1, u, v))
                + f * ((1 - g) * contribution(i + 1, j, u, v) + g * contribution(i + 1, j + 1, u, v))
            )
    return plane


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("size", "resolution", "rotate"),
    [((16, 8), (1, 3), False), ((7, 9), (0, 6), True), ((1, 24), (5, 7), True), ((1, 1), (0, 1), False)],
)
def test_equals_the_textbook(size: tuple[int, int], resolution: tuple[int, int], rotate: bool, backend: str) -> None:
    samples = index[[1, 3]]
    planes = perlin(samples, size, seed=9, resolution=resolution, rotate=rotate, backend=backend)
    for sample, plane in zip(samples, planes, strict=True):
        np.testing.assert_allclose(plane, textbook(sample, size, 9, resolution, rotate), rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_agree(size: tuple[int, int], backend: str) -> None:
    for seed in (0, 2**63 - 1):
        expected = perlin(index, size, seed=seed, backend="reference")
        torch.testing.assert_close(perlin(index, size, seed=seed, backend=backend), expected, rtol=0, atol=1e-5)


@settings(max_examples=8 if INTERPRETED else 40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 140)),
    lowest=st.integers(0, 12),
    rotate=st.booleans(),
    seed=st.integers(0, 2**63 - 1),
)
def test_backends_agree_on_any_lattice(size: tuple[int, int], lowest: int, rotate: bool, seed: int) -> None:
    """From one cell for the whole image to hundreds per pixel; pixels that lie on the border of two cells."""
    options = {"seed": seed, "resolution": (lowest, lowest + 3), "rotate": rotate}
    expected = perlin(index, size, **options, backend="reference")
    for backend in BACKENDS:
        torch.testing.assert_close(perlin(index, size, **options, backend=backend), expected, rtol=0, atol=1e-5)


@pytest.mark.skipif("cpu" not in BACKENDS, reason="needs the C++ kernel")
@pytest.mark.parametrize("size", [(3, 4096), (700, 5)])
def test_long_rows_and_columns(size: tuple[int, int]) -> None:
    for resolution in ((0, 1), (5, 6), (9, 10)):
        options = {"seed": 8, "resolution": resolution}
        expected = perlin(index[:2], size, **options, backend="reference")
        torch.testing.assert_close(perlin(index[:2], size, **options, backend="cpu"), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_plane_depends_on_its_sample_number_alone(backend: str) -> None:
    many = torch.arange(12).flip(0)
    planes = perlin(many, (23, 31), seed=4, backend=backend)
    for i in range(len(many)):
        assert torch.equal(planes[i], perlin(many[i : i + 1], (23, 31), seed=4, backend=backend)[0])
    assert not torch.equal(planes[0], perlin(many[:1], (23, 31), seed=5, backend=backend)[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_strided_and_empty_index(backend: str) -> None:
    wide = torch.arange(10)
    assert torch.equal(
        perlin(wide[::3], (5, 6), seed=1, backend=backend),
        perlin(wide[::3].clone(), (5, 6), seed=1, backend=backend),
    )
    assert perlin(wide[:0], (5, 6), seed=1, backend=backend).shape == (0, 5, 6)


def test_values_are_centred_and_spread_over_their_range() -> None:
    noise = perlin(torch.arange(400), (32, 32), seed=2, resolution=(2, 4))
    assert abs(noise.mean()) < 0.02
    assert 0.25 < noise.std() < 0.4
    assert noise.abs().max() <= 1 + 1e-6


def test_operator_contract() -> None:
    torch.library.opcheck(torch.ops.dssm.perlin.default, (index, [5, 7], 3, [0, 6], True, ""))


def test_compiles_whole() -> None:
    compiled = torch.compile(lambda index: perlin(index, (5, 7), seed=3) * 2, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(index), perlin(index, (5, 7), seed=3) * 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": torch.zeros(3)}, "index must be one of int64"),
        ({"index": torch.zeros(3, 1, dtype=torch.int64)}, "index must have 1 dimensions"),
        ({"size": (0, 4)}, "size must be a pair of positive integers"),
        ({"size": (4,)}, "size must be a pair of positive integers"),
        ({"seed": -1}, "seed must be an integer with 0 <= seed < 2\\^63"),
        ({"seed": 2**63}, "seed must be"),
        ({"seed": 1.5}, "seed must be"),
        ({"resolution": (3, 3)}, "resolution must be two integers with 0 <= first < second <= 16"),
        ({"resolution": (0, 17)}, "resolution must be"),
        ({"resolution": (0.5, 2)}, "resolution must be"),
    ],
)
def test_what_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        perlin(**{"index": index, "size": (4, 4), "seed": 0} | arguments)
