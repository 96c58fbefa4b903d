# SPDX-License-Identifier: Apache-2.0
"""HOG against scikit-image and OpenCV, backends against the reference, gradients, bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.feature import hog as skimage_hog
from torch import Tensor

from dssm import backends
from dssm.backends import INTERPRETED
from dssm.errors import InputError
from dssm.ops import hog
from dssm.ops.hog import length

Close = Callable[..., None]
BACKENDS = backends.available("hog", "cpu")
each_backend = pytest.mark.parametrize("backend", BACKENDS)
GEOMETRIES = {
    "usual": {"orientations": 9, "cell": (8, 8), "block": (2, 2)},
    "odd": {"orientations": 7, "cell": (5, 3), "block": (1, 3)},
    "many": {"orientations": 12, "cell": (4, 6), "block": (3, 2)},
    "one pixel": {"orientations": 4, "cell": (1, 1), "block": (2, 1)},
}
each_geometry = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())


def noise(shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype = torch.uint8) -> Tensor:
    image = torch.randint(0, 256, shape, generator=generator)
    return image.to(dtype) if dtype == torch.uint8 else (image + torch.rand(shape, generator=generator)).to(dtype)


def skimage(
    image: Tensor, orientations: int, cell: Any, block: Any, norm: str = "L2-Hys", sqrt: bool = False
) -> Tensor:
    planes = [
        skimage_hog(
            plane.numpy(),
            orientations,
            cell,
            block,
            norm,
            transform_sqrt=sqrt,
            channel_axis=0,
        )
        for plane in image
    ]
    return torch.from_numpy(np.stack(planes))


def opencv(image: Tensor, orientations: int, cell: Any, block: Any, sqrt: bool = False) -> Tensor:
    """OpenCV takes whole cells only: its window is the part of the image that they cover."""
    height, width = (size // step * step for size, step in zip(image.shape[2:], cell, strict=True))
    step = (cell[1], cell[0])
    geometry = ((width, height), (block[1] * cell[1], block[0] * cell[0]), step, step, orientations)
    descriptor = cv2.HOGDescriptor(*geometry, 1, -1, 0, 0.2, True) if sqrt else cv2.HOGDescriptor(*geometry)
    planes = [np.ascontiguousarray(plane.permute(1, 2, 0).numpy()) for plane in image]
    return torch.from_numpy(np.stack([descriptor.compute(plane, locations=[(0, 0)]).ravel() for plane in planes]))


@each_backend
@each_geometry
@pytest.mark.parametrize("norm", ["L1", "L1-sqrt", "L2", "L2-Hys"])
@pytest.mark.parametrize("sqrt", [False, True])
@pytest.mark.parametrize("channels", [1, 4])
def test_equals_skimage(
    geometry: dict,
    norm: str,
    sqrt: bool,
    channels: int,
    backend: str,
    generator: torch.Generator,
    close: Close,
) -> None:
    image = noise((2, channels, 37, 29), generator)
    close(
        hog(image, norm=norm, sqrt=sqrt, backend=backend, **geometry),
        skimage(image, norm=norm, sqrt=sqrt, **geometry),
    )


@each_backend
def test_real_images_equal_skimage_and_opencv(backend: str, real: Callable[[str], Path], close: Close) -> None:
    paths = sorted(real("bsd").glob("data/*"))[::300]
    planes = [np.asarray(Image.open(path).convert("RGB").resize((128, 256))) for path in paths]
    image = torch.from_numpy(np.stack(planes)).permute(0, 3, 1, 2)
    usual = GEOMETRIES["usual"]
    for sqrt in (False, True):
        close(hog(image, sqrt=sqrt, backend=backend), skimage(image, sqrt=sqrt, **usual))
        close(hog(image, sqrt=sqrt, mode="opencv", backend=backend), opencv(image, sqrt=sqrt, **usual))


@each_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_skimage_on_floats(dtype: torch.dtype, backend: str, generator: torch.Generator, close: Close) -> None:
    image = noise((2, 3, 128, 64), generator, dtype)
    features = hog(image, backend=backend)
    assert features.dtype == dtype
    assert features.shape == (2, 3780)
    # scikit-image adds up a cell in float32, whatever the image is.
    close(features, skimage(image, **GEOMETRIES["usual"]), torch.float32)


@each_backend
@pytest.mark.parametrize("orientations", [1, 4, 8, 9, 12])
def test_every_difference_of_bytes_falls_into_the_bin_of_skimage(orientations: int, backend: str) -> None:
    """511 x 511 gradients, each alone in a cell of one pixel: exact edges such as 45 degrees included."""
    step = torch.arange(-255, 256)
    some = slice(None, None, 97 if INTERPRETED else 1)
    dy, dx = (grid.reshape(-1)[some] for grid in torch.meshgrid(step, step, indexing="ij"))
    degrees = np.rad2deg(np.arctan2(dy.double().numpy(), dx.double().numpy())) % 180
    edge = 180 / orientations * np.arange(1, orientations)
    expected = torch.from_numpy(np.searchsorted(edge, degrees, side="right"))
    nonzero = (dy != 0) | (dx != 0)
    geometry = {"orientations": orientations, "cell": (1, 1), "block": (1, 1)}
    features = hog(centre_pixels(dy, dx), norm="L1", backend=backend, **geometry)
    bins = features.view(-1, 3, 3, orientations)[:, 1, 1].argmax(1)
    assert torch.equal(bins[nonzero], expected[nonzero])


def centre_pixels(dy: Tensor, dx: Tensor) -> Tensor:
    """(N,) -> (N, 1, 3, 3) uint8: images with these differences in the centre."""
    image = torch.zeros(dy.numel(), 1, 3, 3, dtype=torch.uint8)
    image[:, 0, 0, 1], image[:, 0, 2, 1] = (-dy).clamp(min=0), dy.clamp(min=0)
    image[:, 0, 1, 0], image[:, 0, 1, 2] = (-dx).clamp(min=0), dx.clamp(min=0)
    return image


@each_backend
@pytest.mark.parametrize("sqrt", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "geometry",
    [
        {"orientations": 9, "cell": (8, 8), "block": (2, 2)},
        {"orientations": 7, "cell": (6, 4), "block": (3, 2)},
        {"orientations": 12, "cell": (5, 7), "block": (4, 3)},
        {"orientations": 2, "cell": (4, 4), "block": (1, 3)},
    ],
)
def test_equals_opencv(
    geometry: dict, channels: int, sqrt: bool, backend: str, generator: torch.Generator, close: Close
) -> None:
    # Of equal channels cv2 takes the first, but the last one in the columns left over from its vectors of 4.
    image = noise((2, channels, 61, 48), generator)
    close(
        hog(image, sqrt=sqrt, mode="opencv", backend=backend, **geometry),
        opencv(image, sqrt=sqrt, **geometry),
    )


@each_backend
@pytest.mark.parametrize("mode", ["skimage", "opencv"])
def test_of_equal_channels_the_first_votes(mode: str, backend: str) -> None:
    steps = torch.tensor([[0, 5], [3, 4], [5, 0]])  # three directions, one magnitude
    image = torch.cat([centre_pixels(dy[None], dx[None]) for dy, dx in steps], 1)
    geometry = {"cell": (1, 1), "block": (1, 1), "mode": mode, "backend": backend}
    for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1]):
        features = hog(image[:, order], **geometry).view(3, 3, -1)[1, 1]
        assert torch.equal(features, hog(image[:, order[:1]], **geometry).view(3, 3, -1)[1, 1])


@each_backend
@pytest.mark.parametrize("mode", ["skimage", "opencv"])
def test_memory_layout_does_not_matter(
    layout: Callable, mode: str, backend: str, generator: torch.Generator, close: Close
) -> None:
    for dtype in (torch.uint8, torch.float32, torch.float64):
        image = noise((3, 3, 21, 35), generator, dtype)
        strided = layout(image)
        expected = hog(strided.contiguous(), mode=mode, cell=(5, 4), backend="reference")
        close(hog(strided, mode=mode, cell=(5, 4), backend=backend), expected)


@each_backend
@pytest.mark.parametrize("mode", ["skimage", "opencv"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_computes_in_float32(
    dtype: torch.dtype, mode: str, backend: str, generator: torch.Generator, close: Close
) -> None:
    image = noise((2, 3, 24, 24), generator, dtype)
    with torch.autocast("cpu", torch.bfloat16):
        features = hog(image, mode=mode, backend=backend)
    assert features.dtype == torch.float32
    close(features, hog(image.float(), mode=mode, backend="reference"))


@settings(max_examples=10 if INTERPRETED else 40, deadline=None)
@given(
    size=st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 40), st.integers(1, 40)),
    cell=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    block=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    orientations=st.integers(1, 20),
    mode=st.sampled_from(["skimage", "opencv"]),
    sqrt=st.booleans(),
    dtype=st.sampled_from([torch.uint8, torch.float32, torch.float64]),
)
def test_backends_agree_on_any_geometry(
    size: tuple, cell: tuple, block: tuple, orientations: int, mode: str, sqrt: bool, dtype: torch.dtype
) -> None:
    size = (*size[:2], max(size[2], cell[0] * block[0]), max(size[3], cell[1] * block[1]))
    image = noise(size, torch.Generator().manual_seed(sum(size)), dtype)
    results = [
        hog(image, orientations=orientations, cell=cell, block=block, mode=mode, sqrt=sqrt, backend=backend)
        for backend in BACKENDS
    ]
    wanted = (size[0], length(*size[2:], orientations=orientations, cell=cell, block=block))
    for result in results:
        assert result.shape == wanted
        torch.testing.assert_close(result, results[0], rtol=1e-5, atol=5e-6)


@pytest.mark.skipif("triton" not in BACKENDS, reason="kernels of Triton that run on the CPU: TRITON_INTERPRET=1")
@pytest.mark.parametrize("mode", ["skimage", "opencv"])
@pytest.mark.parametrize("values", [512, 1024, 4096])
@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((2, 2, 49, 70), {}),
        ((3, 1, 41, 37), {"cell": (5, 7), "block": (3, 1), "orientations": 4}),
        ((9, 1, 9, 9), {"cell": (3, 2), "block": (2, 2), "orientations": 5}),
        ((1, 2, 60, 80), {"cell": (30, 33), "block": (1, 2)}),
    ],
)
def test_tiles_of_any_size(
    shape: tuple, settings: dict, values: int, mode: str, monkeypatch: pytest.MonkeyPatch, generator: torch.Generator
) -> None:
    """A program holds many pixels; here few, so that images are cut, and cells that are too large for it."""
    monkeypatch.setattr(backends.load("hog", "triton"), "_VALUES", values)
    image = noise(shape, generator, torch.float32)
    expected = hog(image, mode=mode, backend="reference", **settings)
    torch.testing.assert_close(hog(image, mode=mode, backend="triton", **settings), expected, rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("mode", ["skimage", "opencv"])
@pytest.mark.parametrize(
    "source", [(128, 64), (96 if INTERPRETED else 256, 256), (61, 200), (40, 33), (1, 1), (600, 17)]
)
def test_resizes_first_as_torch_does(source: tuple[int, int], mode: str, generator: torch.Generator) -> None:
    image = noise((*((1, 2) if INTERPRETED else (2, 3)), *source), generator, torch.float32)
    wanted = F.interpolate(image, size=(48, 40), mode="bilinear", antialias=True, align_corners=False)
    expected = hog(wanted, mode=mode, backend="reference")
    for backend in BACKENDS:
        features = hog(image, mode=mode, size=(48, 40), backend=backend)
        assert features.shape == expected.shape
        # Resized pixels may differ in the last bit, and their differences are far smaller than they are.
        torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)


@each_backend
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float64])
def test_resizes_any_image(dtype: torch.dtype, backend: str, layout: Callable, generator: torch.Generator) -> None:
    image = layout(noise((2, 1 if INTERPRETED else 3, 50, 70), generator, dtype))
    features = hog(image, size=(32, 24), sqrt=True, backend=backend)
    wanted = hog(image.double().contiguous(), size=(32, 24), sqrt=True, backend="reference")
    assert features.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(features.double(), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mode", ["skimage", "opencv"])
def test_gradient_of_no_image(mode: str) -> None:
    image = torch.zeros(0, 3, 24, 24, requires_grad=True)
    (gradient,) = torch.autograd.grad(hog(image, mode=mode).sum(), image)
    assert gradient.shape == image.shape


@pytest.mark.parametrize("mode", ["skimage", "opencv"])
def test_gradients_go_through_the_resize(mode: str, generator: torch.Generator) -> None:
    image = noise((2, 3, 50, 70), generator, torch.float64)
    weights = torch.rand(2, length(32, 24, **GEOMETRIES["usual"]), generator=generator) - 0.5
    expected, *others = gradients(image, weights, mode=mode, size=(32, 24))
    for gradient in others:
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=10 if INTERPRETED else 40, deadline=None)
@given(
    values=st.lists(st.sampled_from([torch.inf, -torch.inf, torch.nan, -torch.nan]), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
    orientations=st.integers(1, 10),
    norm=st.sampled_from(["L1", "L1-sqrt", "L2", "L2-Hys", None]),
    dtype=st.sampled_from([torch.float16, torch.float32, torch.float64]),
)
def test_backends_agree_on_infinities_and_nan(
    values: list[float], seed: int, orientations: int, norm: str | None, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = noise((1, 3, 24, 27), generator, dtype)
    image.view(-1)[torch.randint(0, image.numel(), (len(values),), generator=generator)] = torch.tensor(values).to(
        dtype
    )
    mode = {"mode": "skimage", "norm": norm} if norm else {"mode": "opencv"}
    expected, *others = (hog(image, orientations=orientations, backend=backend, **mode) for backend in BACKENDS)
    for features in others:
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


@each_backend
@pytest.mark.parametrize("mode", ["skimage", "opencv"])
def test_flat_image_has_zero_features_and_gradient(mode: str, backend: str) -> None:
    image = torch.zeros(2, 3, 16, 16, requires_grad=True)
    for sqrt in (False, True):
        features = hog(image, mode=mode, sqrt=sqrt, backend=backend)
        (gradient,) = torch.autograd.grad(features.sum(), image)
        assert not features.any()
        assert not gradient.any()


@each_backend
@pytest.mark.parametrize("mode", ["skimage", "opencv"])
@pytest.mark.parametrize("channel", [0, 2])
def test_nan_is_not_swallowed(mode: str, channel: int, backend: str, generator: torch.Generator) -> None:
    image = noise((1, 3, 16, 16), generator, torch.float32)
    image[0, channel, 5, 5] = torch.nan
    assert hog(image, mode=mode, backend=backend).isnan().any()


def gradients(image: Tensor, weights: Tensor, **settings: Any) -> list[Tensor]:
    """That of a weighted sum of the features with respect to the image, by every backend."""
    results = []
    for backend in BACKENDS:
        leaf = image.detach().requires_grad_()
        features = hog(leaf, backend=backend, **settings)
        results += torch.autograd.grad((features * weights.to(features.dtype)).sum(), leaf)
    return results


@each_geometry
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sqrt", [False, True])
@pytest.mark.parametrize(
    ("mode", "norm"),
    [("skimage", "L1"), ("skimage", "L1-sqrt"), ("skimage", "L2"), ("skimage", "L2-Hys"), ("opencv", "L2-Hys")],
)
def test_gradients_equal_the_reference(
    mode: str, norm: str, sqrt: bool, dtype: torch.dtype, geometry: dict, generator: torch.Generator
) -> None:
    image = noise((2, 3, 37, 29), generator, dtype)
    weights = torch.rand(2, length(37, 29, **geometry), generator=generator) - 0.5
    expected, *others = gradients(image, weights, mode=mode, norm=norm, sqrt=sqrt, **geometry)
    rtol, atol = (1e-9, 1e-9) if dtype == torch.float64 else (1e-3, 1e-4)
    scale = expected.abs().max()
    assert scale > 0
    for gradient in others:
        assert gradient.dtype == dtype
        torch.testing.assert_close(gradient / scale, expected / scale, rtol=rtol, atol=atol)


@pytest.mark.parametrize("mode", ["skimage", "opencv"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_of_half_precision(mode: str, dtype: torch.dtype, layout: Callable) -> None:
    generator = torch.Generator().manual_seed(1)
    image = layout(noise((2, 3, 24, 24), generator, dtype))
    weights = torch.rand(2, length(24, 24, **GEOMETRIES["usual"]), generator=generator) - 0.5
    expected, *others = gradients(image, weights, mode=mode)
    for gradient in others:
        assert gradient.dtype == dtype
        torch.testing.assert_close(gradient, expected, rtol=2e-2, atol=1e-2 * expected.abs().max().item())


@pytest.mark.parametrize("norm", ["L1", "L1-sqrt", "L2", "L2-Hys"])
@pytest.mark.parametrize("sqrt", [False, True])
def test_gradcheck_skimage(norm: str, sqrt: bool, generator: torch.Generator) -> None:
    image = noise((1, 2, 6, 5), generator, torch.float64).requires_grad_()
    geometry = {"orientations": 5, "cell": (3, 2), "block": (2, 1)}
    torch.autograd.gradcheck(lambda x: hog(x, norm=norm, sqrt=sqrt, **geometry), image, eps=1e-4, atol=1e-7)


@pytest.mark.parametrize("sqrt", [False, True])
def test_gradcheck_opencv(sqrt: bool, generator: torch.Generator) -> None:
    image = noise((1, 2, 6, 5), generator, torch.float64).requires_grad_()
    geometry = {"orientations": 5, "cell": (3, 2), "block": (2, 1)}
    torch.autograd.gradcheck(lambda x: hog(x, mode="opencv", sqrt=sqrt, **geometry), image, eps=1e-4, atol=1e-7)


@each_backend
def test_registration(backend: str, generator: torch.Generator, close: Close) -> None:
    image = noise((2, 3, 16, 16), generator, torch.float32).requires_grad_()
    for mode in ("skimage", "opencv"):
        arguments = (image, 9, [8, 8], [2, 2], "L2-Hys", False, mode, None, backend)
        torch.library.opcheck(torch.ops.dssm.hog.default, arguments)
        compiled = torch.compile(
            lambda x, mode=mode: hog(x, mode=mode, backend=backend), fullgraph=True, backend="aot_eager"
        )
        close(compiled(image), hog(image, mode=mode, backend=backend))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": torch.zeros(3, 16, 16)}, "image must have 4 dimensions"),
        ({"image": torch.zeros(1, 3, 16, 16, dtype=torch.int32)}, "image must be one of uint8"),
        ({"image": torch.zeros(1, 3, 15, 16)}, "at least 16 rows and at least 16 columns"),
        ({"image": torch.zeros(1, 0, 16, 16)}, "must have a channel"),
        ({"size": (8, 16)}, r"size must be at least \(16, 16\) to hold a block"),
        ({"size": (0, 16)}, "size must be two positive integers"),
        ({"image": torch.zeros(1, 3, 0, 16), "size": (16, 16)}, "must have a channel and a pixel to be resized"),
        ({"cell": (8,)}, "cell must be two positive integers"),
        ({"block": (0, 2)}, "block must be two positive integers"),
        ({"orientations": 0}, "orientations must be at least 1"),
        ({"norm": "L3"}, "norm must be one of L1"),
        ({"mode": "cv2"}, "mode must be one of skimage, opencv"),
        ({"mode": "opencv", "norm": "L1"}, "norm must be L2-Hys in mode opencv"),
    ],
)
def test_bad_input(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        hog(**{"image": torch.zeros(1, 3, 16, 16), **arguments})
