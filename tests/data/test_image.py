# SPDX-License-Identifier: Apache-2.0
"""Images of every mode and format, broken ones, and masks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from dssm.data import Sample, read, read_mask, read_size, resize
from dssm.data.image import read_format
from dssm.errors import InputError

ORIENTATION = 0x0112
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 16), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (12, 16, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (12, 16, 3), dtype=np.uint16)


def pixels(path: Path) -> np.ndarray:
    image = read(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey] * 3, axis=-1)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.TIFF"])
def test_lossless_formats(tmp_path: Path, name: str) -> None:
    Image.fromarray(COLOUR).save(tmp_path / name)
    np.testing.assert_array_equal(pixels(tmp_path / name), COLOUR)


def test_jpeg(tmp_path: Path) -> None:
    smooth = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (12, 1))
    Image.fromarray(as_rgb(smooth)).save(tmp_path / "a.jpg", quality=95)
    np.testing.assert_allclose(pixels(tmp_path / "a.jpg"), as_rgb(smooth), atol=4)


def test_grey(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), as_rgb(GREY))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_ignored(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(COLOUR).convert(mode)
    image.putalpha(Image.fromarray(GREY))
    image.save(tmp_path / "a.png")
    expected = COLOUR if mode == "RGBA" else as_rgb(np.asarray(Image.fromarray(COLOUR).convert("L")))
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), expected)


def test_palette_and_one_bit(tmp_path: Path) -> None:
    palette = Image.fromarray(COLOUR).quantize(16)
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(pixels(tmp_path / "p.png"), np.asarray(palette.convert("RGB")))
    Image.fromarray(GREY > 127).save(tmp_path / "b.png")
    np.testing.assert_array_equal(pixels(tmp_path / "b.png"), as_rgb(255 * (GREY > 127).astype(np.uint8)))


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 12), (255, 0, 0, 0)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels(tmp_path / "a.tif"), np.broadcast_to([0, 255, 255], (12, 16, 3)))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_divided_by_257(tmp_path: Path, suffix: str) -> None:
    grey = DEEP[..., 0] // 4  # a dark image stays dark
    grey[0, :2] = 0, 65535
    cv2.imwrite(str(tmp_path / f"grey.{suffix}"), grey)
    np.testing.assert_array_equal(pixels(tmp_path / f"grey.{suffix}"), as_rgb(np.round(grey / 257).astype(np.uint8)))
    cv2.imwrite(str(tmp_path / f"colour.{suffix}"), DEEP[..., ::-1])
    # Pillow reads 16-bit colour by its high byte.
    np.testing.assert_allclose(pixels(tmp_path / f"colour.{suffix}"), DEEP / 257, atol=1)


def test_thirty_two_bits(tmp_path: Path) -> None:
    Image.fromarray(DEEP[..., 0].astype(np.int32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels(tmp_path / "a.tif"), as_rgb(np.round(DEEP[..., 0] / 257).astype(np.uint8)))
    Image.fromarray(DEEP[..., 0].astype(np.int32) * 2).save(tmp_path / "b.tif")
    with pytest.raises(InputError, match=r"b\.tif holds values outside 0\.\.65535"):
        read(tmp_path / "b.tif")


def test_floating_point_is_refused(tmp_path: Path) -> None:
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif holds floating-point"):
        read(tmp_path / "a.tif")


# What turns the stored pixels upright, by EXIF orientation.
UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(COLOUR).save(path, exif=exif)
    np.testing.assert_array_equal(pixels(path), UPRIGHT[orientation](COLOUR))
    assert read_size(path) == read(path).size


def test_first_frame(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(COLOUR[::-1])])
    np.testing.assert_array_equal(pixels(tmp_path / "a.tif"), COLOUR)


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif"])
def test_truncated(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.tile(COLOUR, (20, 20, 1))).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"cannot read the image .*a\.{suffix}: "):
        read(path)


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_no_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    for reader in (read, read_size):
        with pytest.raises(InputError, match=r"cannot read the image .*a\.png"):
            reader(tmp_path / "a.png")


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png.*No such file|No such file.*a\.png"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("size", [(1, 1), (7, 100)])
def test_too_small(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    for reader in (read, read_size):
        with pytest.raises(InputError, match=rf"a\.png is {size[0]}x{size[1]} pixels; at least 8x8"):
            reader(tmp_path / "a.png")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_no_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Opening a pipe would wait for somebody to write."""
    make(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: it is no file"):
        read(tmp_path / "a.png")


def test_messages_say_what_to_do_and_name_the_file_once(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("hello")
    with pytest.raises(InputError, match="replace or remove it") as refused:
        read(path)
    assert str(refused.value).count(path.name) == 1


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("1", ("grey", 1)), ("L", ("grey", 8)), ("RGB", ("colour", 8)), ("RGBA", ("colour with alpha", 8)),
     ("P", ("palette", 8)), ("I;16", ("grey", 16))],
)  # fmt: skip
def test_format(tmp_path: Path, mode: str, expected: tuple[str, int]) -> None:
    Image.new(mode, (16, 12)).save(tmp_path / "a.png")
    assert read_format(tmp_path / "a.png") == expected


def test_format_of_deep_colour(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), DEEP)
    assert read_format(tmp_path / "a.png") == ("colour", 16)


def test_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", COLOUR[..., 0].size // 2 - 1)
    with pytest.raises(InputError, match=r"a\.png: .*decompression bomb"):
        read(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore")  # Pillow warns of some damage that it can read
def test_random_damage_is_an_image_or_an_input_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    outcomes = {"read": 0, "refused": 0}
    for suffix in ("jpg", "png", "bmp", "tif"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(COLOUR).save(path)
        whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        for _ in range(60):
            damaged = whole.copy()
            # Headers are at the start or, in tif, at the end.
            places = rng.integers(0, min(150, whole.size), 4) * rng.choice((1, -1))
            damaged[places] = rng.integers(0, 256, 4)
            path.write_bytes(damaged.tobytes())
            try:
                assert read(path).mode == "RGB"
                outcomes["read"] += 1
            except InputError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 20


def mask_of(tmp_path: Path, mask: np.ndarray) -> np.ndarray:
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return read_mask(Sample(tmp_path / "a.png", "dent", tmp_path / "mask.png"), (16, 12))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.bool_])
@pytest.mark.parametrize("value", [1, 255])
def test_mask_values(tmp_path: Path, dtype: type, value: int) -> None:
    truth = GREY > 200
    np.testing.assert_array_equal(mask_of(tmp_path, (truth * value).astype(dtype)), truth)


def test_blurred_mask_is_cut_in_the_middle(tmp_path: Path) -> None:
    mask = np.zeros((12, 16), dtype=np.uint8)
    mask[3, 3:8] = 255, 200, 128, 127, 1
    assert np.flatnonzero(mask_of(tmp_path, mask)[3]).tolist() == [3, 4, 5]


def test_black_mask_and_good_sample_are_empty(tmp_path: Path) -> None:
    assert not mask_of(tmp_path, np.zeros((12, 16), dtype=np.uint8)).any()
    good = read_mask(Sample(tmp_path / "good.png"), (16, 12))
    assert good.shape == (12, 16)
    assert not good.any()


def test_mask_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mask\.png is 10x12 pixels but its image .*a\.png is 16x12"):
        mask_of(tmp_path, np.zeros((12, 10), dtype=np.uint8))


def test_mask_of_a_rotated_image_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=exif)
    truth = np.rot90(GREY > 200, -1)
    Image.fromarray(truth).save(tmp_path / "mask.png")
    mask = read_mask(Sample(tmp_path / "a.png", "dent", tmp_path / "mask.png"), read_size(tmp_path / "a.png"))
    np.testing.assert_array_equal(mask, truth)


def test_defective_without_mask(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png is defective \(dent\) but has no mask"):
        read_mask(Sample(tmp_path / "a.png", "dent"), (16, 12))


def labelme_sample(tmp_path: Path, shapes: object, size: tuple[int, int] = (16, 12)) -> Sample:
    content = {"imageWidth": size[0], "imageHeight": size[1], "shapes": shapes}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return Sample(tmp_path / "a.jpg", "pitting", tmp_path / "a.json")


def test_polygon_and_rectangle(tmp_path: Path) -> None:
    triangle = {"points": [[2, 2], [9, 2], [2, 9]], "shape_type": "polygon"}
    corner = {"points": [[15, 11], [13, 10]], "shape_type": "rectangle"}
    mask = read_mask(labelme_sample(tmp_path, [triangle, corner]), (16, 12))
    y, x = np.mgrid[:12, :16]
    expected = ((x >= 2) & (y >= 2) & (x + y <= 11)) | ((x >= 13) & (y >= 10))
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    "shapes",
    [
        [{"points": [[1, 1], [2, 2]], "shape_type": "polygon"}],
        [{"points": [[1, 1], [2, 2]], "shape_type": "circle"}],
        [{"points": [[1, 1], [2, float("nan")], [3, 3]]}],
        [{"points": [[1, 1], [2, 1e300], [3, 3]]}],
        [{"points": [[1], [2], [3]]}],
        [{"points": [["a", 1], [2, 2], [3, 3]]}],
        [{}],
        [None],
        None,
    ],
)
def test_broken_polygons(tmp_path: Path, shapes: object) -> None:
    with pytest.raises(InputError, match=r"a\.json is no labelme file"):
        read_mask(labelme_sample(tmp_path, shapes), (16, 12))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"imageWidth": 1e12, "imageHeight": 1e12, "shapes": []}'])
def test_broken_labelme_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json"):
        read_mask(Sample(tmp_path / "a.jpg", "pitting", tmp_path / "a.json"), (16, 12))


def test_labelme_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.json is 10x12 pixels but its image .*a\.jpg is 16x12"):
        read_mask(labelme_sample(tmp_path, [], (10, 12)), (16, 12))


@pytest.mark.parametrize("size", [(96, 64), (377, 267), (50, 300), (9, 8)])
def test_resize_is_what_torch_does(size: tuple[int, int]) -> None:
    image = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
    small = resize(Image.fromarray(image), (96, 64))
    values = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float()
    expected = F.interpolate(values, size=(96, 64), mode="bilinear", antialias=True)[0].numpy()
    assert (small.dtype, small.shape) == (np.uint8, (3, 96, 64))
    assert np.abs(small - expected).max() <= 0.5 + 2**-9
    ties = np.abs(expected % 1 - 0.5) < 1e-4
    assert np.array_equal(small[ties], np.ceil(expected[ties]))
