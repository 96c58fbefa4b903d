# SPDX-License-Identifier: Apache-2.0
"""Textures out of nothing: patterns from plain formulas, in random colours, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Size = tuple[int, int]
Pattern = Callable[[np.random.Generator, Size], np.ndarray]


def procedural(count: int, size: Size, *, seed: int = 0) -> np.ndarray:
    """Return `count` textures as uint8 (count, 3, H, W); they take turns through all patterns."""
    return np.stack([_texture(i, size, seed) for i in range(count)])


def _texture(i: int, size: Size, seed: int) -> np.ndarray:
    rng = np.random.default_rng((seed, i))  # a texture does not depend on how many come before it
    pattern = PATTERNS[i % len(PATTERNS)](rng, size)
    return _coloured(rng, pattern + 0.15 * (octaves(rng, size) - 0.5))


def _coloured(rng: np.random.Generator, pattern: np.ndarray) -> np.ndarray:
    """Map values (H, W) to colours (3, H, W), from a dark one over a middle one to a bright one, vivid or greyish."""
    colours = rng.uniform([[0], [60], [150]], [[100], [190], [255]], (3, 3))  # (dark to bright, channel)
    grey = colours.mean(1, keepdims=True)
    colours = grey + rng.uniform() * (colours - grey)
    channels = [np.interp(pattern, (0, 0.5, 1), colours[:, c]) for c in range(3)]
    return np.stack(channels).round().astype(np.uint8)


# Each pattern returns values (H, W), mostly in [0, 1]. Coordinates are in units of the shorter side, so that circles
# stay round in wide images.


def _grid(size: Size) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[: size[0], : size[1]] / min(size)
    return y, x


def _turned(rng: np.random.Generator, size: Size) -> tuple[np.ndarray, np.ndarray]:
    y, x = _grid(size)
    angle = rng.uniform(0, np.pi)
    return y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)


def _wave(phase: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.sin(2 * np.pi * phase)


def _stretched(values: np.ndarray) -> np.ndarray:
    span = np.ptp(values)
    return (values - values.min()) / span if span > 0 else np.zeros_like(values)


def _value_noise(rng: np.random.Generator, size: Size, cells: float) -> np.ndarray:
    """Random values on a lattice of `cells` per shorter side, smoothly interpolated."""
    y, x = (coordinate * cells for coordinate in _grid(size))
    lattice = rng.random((int(y[-1, -1]) + 2, int(x[-1, -1]) + 2))
    i, j = y.astype(int), x.astype(int)
    v, u = (t * t * (3 - 2 * t) for t in (y - i, x - j))
    top = lattice[i, j] * (1 - u) + lattice[i, j + 1] * u
    bottom = lattice[i + 1, j] * (1 - u) + lattice[i + 1, j + 1] * u
    return top * (1 - v) + bottom * v


def octaves(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Clouds: noise at doubling frequency and halving strength."""
    start = rng.uniform(2, 8)
    return _stretched(np.sum([_value_noise(rng, size, start * 2**k) / 2**k for k in range(5)], axis=0))


def grain(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Brushed metal: noise drawn out along one direction."""
    y, x = _turned(rng, size)
    rows = rng.random(4096)
    fine, coarse = ((y * rows_per_side).astype(int) % 4096 for rows_per_side in (200, 25))
    return 0.5 * rows[fine] + 0.3 * rows[coarse] + 0.2 * _wave(x * 0.7 + rows[coarse])


def stripes(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Parallel bands, slightly bent."""
    y, _ = _turned(rng, size)
    return _wave(rng.uniform(4, 24) * (y + 0.05 * octaves(rng, size)))


def checker(rng: np.random.Generator, size: Size) -> np.ndarray:
    """A chess board, turned."""
    cells = rng.uniform(4, 20)
    y, x = _turned(rng, size)
    return (np.floor(y * cells) + np.floor(x * cells)) % 2


def weave(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Cloth: threads that go over and under each other."""
    y, x = (coordinate * rng.uniform(8, 25) for coordinate in _turned(rng, size))
    over = (np.floor(y) + np.floor(x)) % 2 == 0
    return np.where(over, np.sin(np.pi * (y % 1)), np.sin(np.pi * (x % 1)))


def dots(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Round spots on a lattice."""
    cells, radius = rng.uniform(5, 18), rng.uniform(0.2, 0.45)
    y, x = (coordinate * cells % 1 - 0.5 for coordinate in _turned(rng, size))
    return np.clip((radius - np.hypot(y, x)) * 8 + 0.5, 0, 1)


def bricks(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Courses of bricks of different shade, every other course shifted by half a brick."""
    y, x = (coordinate * rng.uniform(5, 9) for coordinate in _turned(rng, size))
    course = np.floor(y).astype(int)
    x = x / 2 + course % 2 / 2
    joint = (y % 1 < 0.12) | (x % 1 < 0.06)
    shade = rng.uniform(0.4, 1, (64, 64))[course % 64, np.floor(x).astype(int) % 64]
    return np.where(joint, 0, shade)


def wood(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Year rings around a point, distorted."""
    y, x = _grid(size)
    distance = np.hypot(y - rng.uniform(-1, 2), (x - rng.uniform(-1, 2)) * rng.uniform(0.2, 1))
    return (rng.uniform(6, 18) * (distance + 0.15 * octaves(rng, size))) % 1


def marble(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Thin dark veins along waves that noise has bent."""
    y, _ = _turned(rng, size)
    return np.abs(np.sin(np.pi * rng.uniform(2, 6) * (y + 0.6 * octaves(rng, size)))) ** 0.4


def ripples(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Rings from three sources, interfering."""
    y, x = _grid(size)
    rings = [np.hypot(y - rng.uniform(-0.5, 1.5), x - rng.uniform(-0.5, 1.5)) * rng.uniform(8, 20) for _ in range(3)]
    return _stretched(np.sum([_wave(ring) for ring in rings], axis=0))


def _nearest_two(rng: np.random.Generator, size: Size, points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances (H, W) to the nearest and the second of random points, and the number of the nearest."""
    y, x = _grid(size)
    first, second, nearest = np.full(size, np.inf), np.full(size, np.inf), np.zeros(size, dtype=int)
    for i in range(points):
        distance = np.hypot(y - rng.uniform(0, y[-1, -1]), x - rng.uniform(0, x[-1, -1]))
        second = np.minimum(second, np.maximum(first, distance))
        nearest[distance < first] = i
        first = np.minimum(first, distance)
    return first, second, nearest


def cells(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Bubbles: the distance to the nearest of random points (Worley 1996)."""
    first, _, _ = _nearest_two(rng, size, 80)
    return _stretched(first)


def cracks(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Plates of different shade with dark cracks between them (second minus nearest distance)."""
    first, second, nearest = _nearest_two(rng, size, 60)
    return rng.uniform(0.4, 1, 60)[nearest] * np.clip((second - first) * 40, 0, 1)


def scratches(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Straight thin lines in all directions, over clouds."""
    values = 0.3 + 0.4 * octaves(rng, size)
    for _ in range(40):
        y, x = _turned(rng, size)
        near = np.abs(y - rng.uniform(y.min(), y.max())) < rng.uniform(0.002, 0.01)
        along = np.abs(x - rng.uniform(x.min(), x.max())) < rng.uniform(0.1, 0.5)
        values[near & along] = rng.choice((0.0, 1.0))
    return values


def speckle(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Salt and pepper: coarse grains cut from noise at two levels."""
    noise = _value_noise(rng, size, rng.uniform(20, 60))
    return 0.5 + 0.5 * (noise > 0.7) - 0.5 * (noise < 0.3)


PATTERNS: tuple[Pattern, ...] = (
    octaves, grain, stripes, checker, weave, dots, bricks, wood, marble, ripples, cells, cracks, scratches, speckle,
)  # fmt: skip
