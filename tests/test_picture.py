# SPDX-License-Identifier: Apache-2.0
"""Pictures: what they show, and that no size of image breaks them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from dssm.errors import InputError
from dssm.picture import as_pil, colormap, outline, overlay, save, sheet


def grey(height: int, width: int, value: int = 128) -> torch.Tensor:
    return torch.full((3, height, width), value, dtype=torch.uint8)


def test_colormap_ends_and_order() -> None:
    values = np.linspace(0, 1, 256)[None]
    colours = colormap(values)[0].astype(int)
    assert colours.shape == (256, 3)
    assert tuple(colours[0]) == (0, 0, 4)
    assert tuple(colours[-1]) == (252, 255, 164)
    lightness = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -0.75).all()  # rounding to uint8 alone may step back
    assert (np.diff(lightness[::8]) > 0).all()


def test_colormap_equals_opencv_inferno() -> None:
    cv2 = pytest.importorskip("cv2")
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1].astype(int)
    ours = colormap(np.arange(256)[None] / 255)[0].astype(int)
    assert np.abs(ours - table).max() <= 7  # sixteen control points for a table of 256


def test_colormap_clips_what_lies_outside() -> None:
    assert np.array_equal(colormap([[-np.inf, -3, 7, np.inf]]), colormap([[0, 0, 1, 1]]))


def test_overlay_leaves_cold_surface_and_lights_hot_spots() -> None:
    image = grey(40, 60)
    heat = torch.zeros(40, 60)
    heat[10:20, 10:20] = 9.0
    shown = np.asarray(overlay(image, heat, 1.0, 5.0)).astype(int)
    assert (shown[30:, 30:] == 128).all()
    assert shown[15, 15, 0] > 200
    assert shown[15, 15, 0] > shown[15, 15, 2]


def test_overlay_resizes_the_map_to_the_image() -> None:
    heat = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    shown = np.asarray(overlay(grey(64, 128), heat, 0.0, 1.0)).astype(int)
    assert shown.shape == (64, 128, 3)
    assert (shown[0, 0] == 128).all()
    assert shown[-1, -1, 0] > 200


def test_overlay_keeps_the_texture_of_the_surface_visible() -> None:
    image = grey(8, 8)
    image[:, :, ::2] = 40
    shown = np.asarray(overlay(image, torch.ones(8, 8), 0.0, 1.0)).astype(int)
    assert (shown[:, 1::2].sum(-1) > shown[:, ::2].sum(-1)).all()


def test_outline_surrounds_the_region_and_spares_it() -> None:
    mask = torch.zeros(50, 50, dtype=torch.bool)
    mask[20:25, 30:33] = True
    drawn = (np.asarray(outline(grey(50, 50), mask, (255, 0, 0))) == (255, 0, 0)).all(-1)
    expected = np.zeros((50, 50), dtype=bool)
    expected[19:26, 29:34] = True
    assert np.array_equal(drawn, expected & ~mask.numpy())


def test_outline_closes_along_the_border() -> None:
    drawn = (np.asarray(outline(grey(9, 7), np.ones((9, 7), dtype=bool), (255, 0, 0))) == (255, 0, 0)).all(-1)
    expected = np.ones((9, 7), dtype=bool)
    expected[1:-1, 1:-1] = False
    assert np.array_equal(drawn, expected)


def test_outline_of_nothing_changes_nothing() -> None:
    assert np.array_equal(np.asarray(outline(grey(5, 6), torch.zeros(5, 6, dtype=torch.bool))), np.full((5, 6, 3), 128))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3000), (3000, 1), (7, 13), (230, 1130)])
def test_every_size_makes_a_sheet(height: int, width: int) -> None:
    image = grey(height, width)
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[height // 2, width // 2] = True
    row = [image, outline(image, mask), overlay(image, mask.float(), 0, 1)]
    page = sheet([row, row[:2]], headers=["image", "truth", "heat"], captions=["a", "b " * 500], title="t", cell=100)
    assert page.mode == "RGB"
    assert page.width == 2 * 16 + 3 * 100 + 2 * 6
    assert page.height < 500
    assert (np.asarray(page) == 128).all(-1).any()


def test_sheet_places_images_in_equal_cells() -> None:
    red, blue = (Image.new("RGB", (80, 40), colour) for colour in ("red", "blue"))
    page = np.asarray(sheet([[red, blue], [blue, red]], cell=40))
    assert page.shape == (2 * 16 + 2 * 20 + 6, 2 * 16 + 2 * 40 + 6, 3)
    for row, column, colour in [
        (0, 0, (255, 0, 0)),
        (0, 1, (0, 0, 255)),
        (1, 0, (0, 0, 255)),
        (1, 1, (255, 0, 0)),
    ]:
        y, x = 16 + row * 26, 16 + column * 46
        assert (page[y : y + 20, x : x + 40] == colour).all()
    assert (page[:16] == 255).all()


def test_sheet_shows_its_words() -> None:
    bare = sheet([[grey(10, 10)]], headers=[""], captions=[""], title=" ")
    page = sheet([[grey(10, 10)]], headers=["head"], captions=["caption"], title="title")
    assert page.size == bare.size
    changed = (np.asarray(page) != np.asarray(bare)).any((1, 2)).nonzero()[0]
    assert changed.min() < 40  # the title
    assert changed.max() > page.height - 40  # the caption


def test_images_of_every_accepted_kind_agree() -> None:
    tensor = torch.arange(24, dtype=torch.uint8).reshape(1, 4, 6)
    pil = Image.fromarray(tensor[0].numpy())
    expected = np.asarray(pil.convert("RGB"))
    for image in (tensor, tensor.numpy(), tensor.expand(3, 4, 6), pil):
        assert np.array_equal(np.asarray(as_pil(image)), expected)


def test_save_writes_a_png_and_nothing_else(tmp_path) -> None:
    image = as_pil(grey(3, 4, 9))
    save(image, tmp_path / "sheet.png")
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    with Image.open(tmp_path / "sheet.png") as read:
        assert read.format == "PNG"
        assert np.array_equal(np.asarray(read), np.asarray(image))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: colormap([[np.nan]]), "values"),
        (lambda: colormap([0.5]), "values"),
        (lambda: colormap(np.zeros((0, 4))), "values"),
        (lambda: overlay(grey(2, 2), [[np.nan]], 0, 1), "heat"),
        (lambda: overlay(grey(2, 2), [[0.0]], 1, 1), "lo"),
        (lambda: overlay(grey(2, 2), [[0.0]], float("nan"), 1), "lo"),
        (lambda: overlay(grey(2, 2), [[0.0]], 0, float("inf")), "hi"),
        (lambda: overlay(torch.zeros(3, 2, 2), [[0.0]], 0, 1), "image"),
        (lambda: outline(grey(2, 2), torch.zeros(3, 2)), "mask"),
        (lambda: sheet([]), "rows"),
        (lambda: sheet([[grey(2, 2)]], headers=["a", "b"]), "headers"),
        (lambda: sheet([[grey(2, 2)]], captions=[]), "captions"),
        (lambda: as_pil(torch.zeros(2, 4, 4, dtype=torch.uint8)), "image"),
    ],
)
def test_bad_input_is_named(call, named: str) -> None:
    with pytest.raises(InputError, match=named):
        call()
