# SPDX-License-Identifier: Apache-2.0
"""Tiles cover every pixel and blend without a seam; where one is enough, they change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dssm import Detector
from dssm.data import Collection, Sample, load_tiles, read
from dssm.errors import InputError
from dssm.metrics import evaluate_scores
from dssm.settings import Settings
from dssm.tiles import Tiles

SIZES = [(64, 64), (64, 65), (1, 200), (129, 300), (33, 20), (417, 64)]


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
@pytest.mark.parametrize("size", SIZES)
def test_tiles_cover_the_image_and_overlap(size: tuple[int, int], overlap: float) -> None:
    tiles = Tiles((64, 32), overlap)
    for starts, tile, whole in zip(tiles.places(size), tiles.size, size, strict=True):
        assert starts[0] == 0
        assert starts[-1] == max(whole - tile, 0)
        steps = np.diff(starts)
        assert (steps > 0).all()
        assert (steps <= tile * (1 - overlap)).all()
    assert tiles.count(size) == len(tiles.cut(torch.zeros(1, 3, *size)))


@pytest.mark.parametrize("size", SIZES)
def test_joined_tiles_are_the_image(size: tuple[int, int]) -> None:
    """Also at its borders and where more than two tiles meet: the weights of a pixel sum to one."""
    tiles = Tiles((64, 32), 0.4)
    images = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(tiles.join(tiles.cut(images)[:, 0], size), images[:, 0], rtol=0, atol=1e-6)


def test_one_tile_is_the_image_itself() -> None:
    images = torch.rand(3, 3, 64, 32)
    tiles = Tiles((64, 32), 0.25)
    assert torch.equal(tiles.cut(images), images)
    assert torch.equal(tiles.join(images[:, 0], (64, 32)), images[:, 0])


def test_tiles_that_disagree_leave_no_seam() -> None:
    """Every tile has a level of its own; from pixel to pixel the map changes by no more than fading over allows."""
    tiles = Tiles((64, 64), 0.25)
    size = (160, 208)
    levels = torch.rand(tiles.count(size), generator=torch.Generator().manual_seed(0))
    joined = tiles.join(levels[:, None, None].expand(-1, 64, 64), size)[0]
    assert joined.min() >= levels.min()
    assert joined.max() <= levels.max()
    assert max(joined.diff(dim=dim).abs().max() for dim in (0, 1)) < 0.25 * (levels.max() - levels.min())


def test_small_images_are_mirrored() -> None:
    image = torch.arange(3.0).view(1, 1, 1, 3)
    assert Tiles((1, 8), 0.0).cut(image).flatten().tolist() == [0, 1, 2, 2, 1, 0, 0, 1]


def decoded(path: Path) -> Tensor:
    return torch.from_numpy(np.array(read(path))).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Brushed metal of different sizes, some smaller than a tile."""
    folder = tmp_path_factory.mktemp("parts")
    generator = np.random.default_rng(0)
    paths = []
    for i in range(14):
        height, width = 60 + 20 * (i % 3), 150 - 30 * (i % 4)
        grain = generator.normal(120, 6, (height, width, 3)) + generator.uniform(-20, 20, (height, 1, 1))
        Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(folder / f"{i:02}.png")
        paths.append(folder / f"{i:02}.png")
    return paths


@pytest.fixture(scope="module")
def native(tiny: Settings) -> Settings:
    return tiny.replace(size="native", tile=(64, 64), segment=False, map="mahalanobis", samples=16)


@pytest.fixture(scope="module")
def fitted(native: Settings, parts: list[Path]) -> Detector:
    return Detector(native, device="cpu").fit(parts, progress=False)


def test_loaded_tiles_are_those_of_the_images(parts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = Tiles((64, 64), 0.25)
    whole = [decoded(path) for path in parts]
    expected = torch.cat([tiles.cut(image) for image in whole])
    assert torch.equal(load_tiles(parts, None, tiles), expected)
    monkeypatch.setattr("dssm.data.cache._memory", lambda: 0)  # so that they go to a file
    assert torch.equal(load_tiles(parts, None, tiles), expected)


def test_maps_are_as_large_as_the_images(fitted: Detector, parts: list[Path]) -> None:
    for path, prediction in zip(parts, fitted.stream(parts), strict=True):
        assert prediction.map.shape == prediction.mask.shape == read(path).size[::-1]
    trained = [parts[i] for i in fitted.hold_out(torch.arange(len(parts)))[1]]
    assert fitted.data["tiles"] == sum(Tiles((64, 64), 0.2).count(read(path).size[::-1]) for path in trained)


def test_a_scratch_is_found_where_it_is(fitted: Detector, parts: list[Path]) -> None:
    for path in parts[:4]:
        image = decoded(path)
        good = fitted.predict(image)[0]
        image[:, :, 30:36, 40:60] = 20
        bad = fitted.predict(image)[0]
        assert bad.score > good.score
        row, column = np.unravel_index(bad.map.argmax(), bad.map.shape)
        assert 20 <= row < 46
        assert 30 <= column < 70


def test_the_score_is_that_of_the_worst_tile(fitted: Detector, parts: list[Path]) -> None:
    image = decoded(parts[0])
    assert fitted.tiles is not None
    of_tiles = [prediction.score for prediction in fitted.predict(fitted.tiles.cut(image))]
    assert len(of_tiles) > 1
    assert fitted.predict(image)[0].score == pytest.approx(max(of_tiles), rel=1e-5)


def test_an_image_of_one_tile_is_scored_as_a_whole_image(tiny: Settings, surfaces: Tensor) -> None:
    settings = tiny.replace(samples=8)
    whole = Detector(settings, device="cpu").fit(surfaces, progress=False)
    tiled = Detector(settings.replace(tile=(128, 64)), device="cpu").fit(surfaces, progress=False)
    assert tiled.thresholds == pytest.approx(whole.thresholds, rel=1e-4)
    for a, b in zip(whole.predict(surfaces[:3]), tiled.predict(surfaces[:3]), strict=True):
        assert a.score == pytest.approx(b.score, rel=1e-4)
        np.testing.assert_allclose(a.map, b.map, atol=1e-3)


@pytest.mark.parametrize("method", ["padim", "patchcore"])
def test_other_methods_see_tiles_too(method: str, native: Settings, parts: list[Path]) -> None:
    settings = native.replace(method=method, map_stages=(2, 3))
    detector = Detector(settings, device="cpu").fit(parts, progress=False)
    prediction = detector.predict(parts[0])[0]
    assert prediction.map.shape == read(parts[0]).size[::-1]
    assert np.isfinite(prediction.score)


def test_save_and_load(fitted: Detector, parts: list[Path], tmp_path: Path) -> None:
    fitted.save(tmp_path)
    loaded = Detector.load(tmp_path, device="cpu")
    assert loaded.size is None
    assert loaded.tiles == fitted.tiles
    for a, b in zip(fitted.predict(parts[:2]), loaded.predict(parts[:2]), strict=True):
        assert a.score == b.score
        assert np.array_equal(a.map, b.map)
    assert "a pixel at the image's own size" in (tmp_path / "model_card.md").read_text()


def test_an_evaluation_holds_what_its_predictions_say(fitted: Detector, parts: list[Path], tmp_path: Path) -> None:
    """Kept on the disk, one at a time in memory, nothing of it changes."""
    samples = []
    for i, path in enumerate(parts[:6]):
        image, mask = np.array(read(path)), None
        if i % 2:
            truth = np.zeros(image.shape[:2], dtype=np.uint8)
            truth[30:36, 40:60] = 255
            image[truth > 0] = 20
            mask = tmp_path / f"{i}_mask.png"
            Image.fromarray(truth).save(mask)
        Image.fromarray(image).save(tmp_path / path.name)
        samples.append(Sample(tmp_path / path.name, "scratch" if i % 2 else "good", mask))
    unmarked = Sample(samples[1].path, "stain")
    collection = Collection("parts", "parts", (), (*samples, unmarked))
    evaluation = fitted.evaluate(collection, progress=False)
    predictions = fitted.predict([sample.path for sample in collection.test])
    for kept, prediction in zip(evaluation.predictions, predictions, strict=True):
        assert (kept.path, kept.score, kept.anomalous) == (prediction.path, prediction.score, prediction.anomalous)
        assert np.array_equal(kept.map, prediction.map)
        assert np.array_equal(kept.mask, prediction.mask)
    assert evaluation.predictions[-1].path == unmarked.path
    masks = list(evaluation.masks or [])
    assert masks[-1] is None
    expected = evaluate_scores(
        [prediction.score for prediction in predictions],
        [sample.kind for sample in collection.test],
        [prediction.map for prediction in predictions],
        masks,
    )
    assert {name: evaluation.metrics[name] for name in expected} == expected
    assert evaluation.metrics["pixel_auroc"] > 0.9


def test_a_broken_image_shows_before_training(native: Settings, parts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(parts[0].read_bytes()[:500])
    for place in range(len(parts)):  # held out or not
        paths = [*parts[:place], tmp_path / "broken.png", *parts[place:]]
        with pytest.raises(InputError, match=r"broken\.png"):
            Detector(native.replace(epochs=10**6), device="cpu").fit(paths, progress=False)
