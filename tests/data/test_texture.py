# SPDX-License-Identifier: Apache-2.0
"""Textures from a folder, from scikit-image and from formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dssm.data import load_textures, texture
from dssm.data.procedural import PATTERNS, procedural
from dssm.errors import InputError


@pytest.mark.parametrize("size", [(32, 32), (33, 70), (96, 32), (1, 1)])
def test_procedural_sizes(size: tuple[int, int]) -> None:
    textures = procedural(len(PATTERNS), size)
    assert (textures.shape, textures.dtype) == ((len(PATTERNS), 3, *size), np.uint8)


def test_procedural_is_deterministic_and_varied() -> None:
    textures = procedural(42, (64, 64))
    np.testing.assert_array_equal(procedural(50, (64, 64))[:42], textures)
    assert not np.array_equal(procedural(42, (64, 64), seed=1), textures)
    assert len({image.tobytes() for image in textures}) == 42
    # Each has contrast of its own: the brightness spreads by several grey levels.
    assert textures.mean(1).std((1, 2)).min() > 4


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.__name__)
def test_pattern_values_fill_the_range(pattern) -> None:
    values = pattern(np.random.default_rng(0), (96, 128))
    assert values.shape == (96, 128)
    assert 0 <= values.min() < 0.4 < 0.6 < values.max() <= 1


def test_builtin() -> None:
    textures = load_textures("builtin", (48, 64))
    assert textures.dtype == torch.uint8
    assert textures.shape[0] > texture.PROCEDURAL
    assert textures.shape[1:] == (3, 48, 64)


def test_builtin_without_scikit_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texture, "find_spec", lambda _: None)
    assert torch.equal(load_textures("builtin", (32, 32)), torch.from_numpy(procedural(texture.PROCEDURAL, (32, 32))))


def test_folder_keeps_the_aspect_and_the_centre(tmp_path: Path, make) -> None:
    pixels = np.zeros((64, 192, 3), dtype=np.uint8)
    pixels[:, 64:128] = 200
    make(tmp_path / "deep" / "a.png", pixels=pixels)
    textures = load_textures(tmp_path, (32, 32))
    assert textures.shape == (1, 3, 32, 32)
    assert (textures[..., 2:-2] == 200).all()


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder"):
        load_textures(tmp_path / "nowhere", (32, 32))
    with pytest.raises(InputError, match="holds no images"):
        load_textures(tmp_path, (32, 32))
