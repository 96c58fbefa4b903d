# SPDX-License-Identifier: Apache-2.0
"""PasteNoise: its parts put together by hand, promises and gradients; scars and patches pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st

from dssm import backends
from dssm.backends import INTERPRETED
from dssm.errors import InputError
from dssm.ops import blend, component, paste, perlin
from dssm.reference.paste import KINDS, PATCH, SCAR, noise_mask, rectangle
from dssm.reference.philox import PASTE, philox

BACKENDS = backends.available("paste", "cpu")
DTYPES = [torch.uint8, torch.float32, torch.float64, torch.bfloat16, torch.float16]
INDEX = torch.arange(3 if INTERPRETED else 12) * (2**31 + 1)
MIXED = torch.arange(len(INDEX)) % 3

if "triton" in BACKENDS:
    import triton
    import triton.language as tl

    from dssm.kernels.paste_rectangle import turn

    @triton.jit
    def _turn_kernel(p_degrees, p_cos, p_sin, count, block: tl.constexpr):
        i = tl.arange(0, block)
        cos, sin = turn(tl.load(p_degrees + i, mask=i < count, other=0))
        tl.store(p_cos + i, cos, mask=i < count)
        tl.store(p_sin + i, sin, mask=i < count)


def example(size: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    image, source = (torch.rand(size, generator=random, dtype=torch.float64) for _ in range(2))
    if dtype == torch.uint8:
        image, source = image * 256, source * 256
    return image.to(dtype), source.to(dtype)


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_noise_is_its_parts(dtype: torch.dtype, connectivity: int, backend: str) -> None:
    image, source = example((len(INDEX), 3, 33, 47), dtype)
    result, mask, alpha = paste(image, source, INDEX, seed=3, connectivity=connectivity, backend=backend)
    noise = perlin(INDEX, (33, 47), seed=3)
    peak = noise.amax((1, 2), keepdim=True)
    level = torch.where(peak > 0.5, 0.5, 0.9 * peak)
    assert torch.equal(mask, component(noise > level, connectivity=connectivity))
    torch.testing.assert_close(result, blend(image, source, mask, alpha))
    assert result.dtype == dtype
    assert alpha.dtype == torch.float32


@pytest.mark.parametrize("backend", BACKENDS)
def test_alpha_is_drawn_in_65536ths_between_its_bounds(backend: str) -> None:
    index = torch.arange(0, 500, 25 if INTERPRETED else 1)
    image, source = example((len(index), 1, 1, 1))
    alpha = paste(image, source, index, seed=3, alpha=(0.25, 0.75), backend=backend)[2]
    assert torch.equal(alpha * 65536, (alpha * 65536).round())
    assert 0.25 <= alpha.min() < 0.27
    assert 0.73 < alpha.max() <= 0.75
    assert abs(alpha.mean() - 0.5) < 5 * 0.5 / 12**0.5 / len(index) ** 0.5
    few = image[:9], source[:9], index[:9]
    assert (paste(*few, seed=3, alpha=(1, 1), backend=backend)[2] == 1).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 64), (65, 17)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_sample_is_left_without_a_defect(size: tuple[int, int], backend: str) -> None:
    index = torch.arange(3 if INTERPRETED else 60)
    image, source = example((len(index), 1, *size))
    for threshold in (0.5, 2.0):
        mask = paste(image, source, index, seed=1, kind=index % 3, threshold=threshold, backend=backend)[1]
        assert mask.flatten(1).any(1).all()
    tight = paste(image, source, index, seed=1, kind=index % 3, area=(0, 0), backend=backend)[1]
    assert (tight.sum((1, 2)) >= 1).all()


def test_noise_below_zero_has_a_mask_too() -> None:
    noise = -torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(0)) - 0.1
    noise[4] = 0
    mask = noise_mask(noise, 0.5, (0, 24), 8)
    peak = noise.amax((1, 2), keepdim=True)
    assert torch.equal(mask[:4], component(noise > 1.1 * peak)[:4])
    assert mask[4].all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_area_bounds_the_mask(backend: str) -> None:
    size = (48, 64)
    index = torch.arange(6 if INTERPRETED else 36)
    image, source = example((len(index), 1, *size))
    for least, most in ((0.02, 0.08), (0.0, 0.005), (0.1, 1.0)):
        kind = index % 3
        mask = paste(image, source, index, seed=1, kind=kind, area=(least, most), backend=backend)[1]
        share = mask.float().mean((1, 2))
        raster = torch.where(kind == SCAR, 1.35, 1.0)  # a turned rectangle covers more or fewer pixels than h w
        assert (share <= most * raster).all()
        # A threshold that jumped over the interval ends below it, and then goes no further.
        reached = (share >= least / raster * 0.9).float().mean()
        assert reached > 0.9, (least, most, reached)


@pytest.mark.parametrize("backend", BACKENDS)
def test_upright_patches_are_moved_pixels(backend: str) -> None:
    index = torch.arange(5 if INTERPRETED else 40)
    image, _ = example((len(index), 2, 37, 53))
    kind = torch.full_like(index, PATCH)
    result, mask, alpha = paste(image, None, index, seed=6, kind="patch", backend=backend)
    height, width, _, _ = rectangle(index, kind, (37, 53), 6, (0, 37 * 53))
    assert torch.equal(mask.sum((1, 2)), height * width)
    assert (alpha == 0).all()
    for i in range(len(index)):
        rows, columns = mask[i].any(1).nonzero().flatten(), mask[i].any(0).nonzero().flatten()
        assert torch.equal(mask[i][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all(), torch.tensor(True))
        pasted = result[i][:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        windows = image[i].unfold(1, len(rows), 1).unfold(2, len(columns), 1)  # (C, y, x, h, w)
        assert (windows == pasted[:, None, None]).all(4).all(3).all(0).any()
        assert torch.equal(result[i][:, ~mask[i]], image[i][:, ~mask[i]])


def test_patch_shapes_are_those_of_cutpaste() -> None:
    index = torch.arange(3000)
    height, width, cos, sin = rectangle(index, torch.full_like(index, PATCH), (1000, 1000), 6, (0, 10**6))
    share, aspect = height * width / 10**6, height / width
    assert 0.0195 < share.min() < 0.025
    assert 0.145 < share.max() <= 0.15
    assert 0.29 < aspect.min() < 0.31
    assert 3.2 < aspect.max() < 3.35  # 3.3, and up to one of at least 77 pixels that w lost by rounding down
    assert abs((aspect < 1).float().mean() - 0.5) < 0.05
    assert (cos == 65536).all()
    assert (sin == 0).all()


def test_scar_shapes_are_those_of_cutpaste() -> None:
    index = torch.arange(3000)
    height, width, cos, sin = rectangle(index, torch.full_like(index, SCAR), (512, 768), 6, (0, 512 * 768))
    assert (height.min(), height.max()) == (20, 50)
    assert (width.min(), width.max()) == (4, 32)
    degrees = torch.atan2(sin.double(), cos.double()).rad2deg()
    assert (degrees.min().round(), degrees.max().round()) == (-45, 45)
    assert ((cos**2 + sin**2).double().sqrt() - 65536).abs().max() < 1


def test_no_angle_is_near_a_rounding_tie() -> None:
    """So every backend's cosines and sines round to the same integers, whatever their last bits."""
    for degrees in range(-45, 46):
        for value in (math.cos(math.radians(degrees)), math.sin(math.radians(degrees))):
            assert abs(value * 65536 % 1 - 0.5) > 1e-4


@pytest.mark.skipif("triton" not in BACKENDS, reason="needs Triton")
def test_angles_of_the_triton_kernel_are_exact() -> None:
    """Its polynomials, rounded, for every angle that a scar may have."""
    degrees = torch.arange(-45, 46)
    cos, sin = torch.empty_like(degrees), torch.empty_like(degrees)
    _turn_kernel[(1,)](degrees, cos, sin, len(degrees), block=128)
    radians = degrees.double() * (math.pi / 180)
    assert torch.equal(cos, (radians.cos() * 65536).round().long())
    assert torch.equal(sin, (radians.sin() * 65536).round().long())


@pytest.mark.parametrize("backend", BACKENDS)
def test_scars_follow_the_inverse_map(backend: str) -> None:
    """The rotated rectangle, written with floats and scalars."""
    size, seed = (64, 80), 2
    index = torch.arange(3 if INTERPRETED else 10)
    image, _ = example((len(index), 3, *size), torch.float64)
    result, mask, _ = paste(image, None, index, seed=seed, kind="scar", backend=backend)
    h, w, cos, sin = rectangle(index, torch.full_like(index, SCAR), size, seed, (0, size[0] * size[1]))
    gains = torch.stack(philox(seed, index, PASTE, 2)[:3], 1).double() / 2**32 * 53 // 1 + 230
    for i in range(len(index)):
        rows, columns = mask[i].nonzero().unbind(1)
        c, s = float(cos[i]) / 65536, float(sin[i]) / 65536
        word = [float(value[i]) / 2**32 for value in philox(seed, index, PASTE, 1)]
        box = math.ceil(h[i] * c + w[i] * abs(s)), math.ceil(w[i] * c + h[i] * abs(s))
        boxes = [*zip(box, size, strict=True), (int(h[i]), size[0]), (int(w[i]), size[1])]
        y, x, from_y, from_x = (
            extent // 2 + int(u * (length - extent + 1)) for u, (extent, length) in zip(word, boxes, strict=True)
        )
        expected = image[i].clone()
        inside = torch.zeros(size, dtype=torch.bool)
        for row in range(size[0]):
            for column in range(size[1]):
                down, right = c * (row - y) - s * (column - x), s * (row - y) + c * (column - x)
                if -h[i] / 2 <= down < h[i] / 2 and -w[i] / 2 <= right < w[i] / 2:
                    inside[row, column] = True
                    at = from_y + math.floor(down + 0.5), from_x + math.floor(right + 0.5)
                    at = min(max(at[0], 0), size[0] - 1), min(max(at[1], 0), size[1] - 1)
                    expected[:, row, column] = image[i][:, at[0], at[1]] * gains[i] / 256
        assert torch.equal(mask[i], inside)
        torch.testing.assert_close(result[i], expected, rtol=1e-12, atol=0)
        assert len(rows) > 0
        assert len(columns) > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_uint8_scars_are_tinted_in_integers(backend: str) -> None:
    index = torch.arange(4 if INTERPRETED else 20)
    image = torch.full((len(index), 5, 32, 32), 250, dtype=torch.uint8)
    result, mask, _ = paste(image, None, index, seed=1, kind="scar", backend=backend)
    words = torch.cat([torch.stack(philox(1, index, PASTE, draw), 1) for draw in (2, 3)], 1)[:, :5]
    gains = 230 + (words * 53 >> 32)
    tinted = ((250 * gains + 128) >> 8).clamp(max=255)
    expected = torch.where(mask.unsqueeze(1), tinted[..., None, None], image)
    assert torch.equal(result.long(), expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("area", [(0.0, 1.0), (0.02, 0.1)])
def test_a_sample_depends_on_its_number_alone(area: tuple[float, float], backend: str) -> None:
    image, source = example((len(INDEX), 3, 31, 45))
    settings = {"seed": 5, "area": area, "backend": backend}
    whole = paste(image, source, INDEX, kind=MIXED, **settings)
    order = torch.randperm(len(INDEX), generator=torch.Generator().manual_seed(1))
    shuffled = paste(image[order], source[order], INDEX[order], kind=MIXED[order], **settings)
    for a, b in zip(whole, shuffled, strict=True):
        assert torch.equal(a[order], b)
    for i in range(len(INDEX)):
        alone = paste(image[i : i + 1], source[i : i + 1], INDEX[i : i + 1], kind=KINDS[MIXED[i]], **settings)
        for a, b in zip(whole, alone, strict=True):
            assert torch.equal(a[i : i + 1], b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_agree(dtype: torch.dtype, backend: str) -> None:
    for size in ((21, 130),) if INTERPRETED else ((7, 9), (40, 64), (21, 130)):
        for area in ((0.0, 1.0), (0.02, 0.1)):
            image, source = example((len(INDEX), 3, *size), dtype)
            settings = {"seed": 7, "kind": MIXED, "area": area}
            ours = paste(image, source, INDEX, **settings, backend=backend)
            theirs = paste(image, source, INDEX, **settings, backend="reference")
            assert torch.equal(ours[1], theirs[1])
            assert torch.equal(ours[2], theirs[2])
            torch.testing.assert_close(ours[0], theirs[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_layouts_and_empty_batches(backend: str) -> None:
    image, source = example((len(INDEX), 3, 8, 9))
    expected = paste(image, source, INDEX, seed=2, kind=MIXED, backend=backend)
    changes = (
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: torch.stack([x, x], -1)[..., 0],
        lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    )
    wide = torch.stack([INDEX, INDEX], 1)[:, 0]
    for change in changes:
        result = paste(change(image), change(source), wide, seed=2, kind=MIXED, backend=backend)
        assert all(torch.equal(a, b) and a.is_contiguous() for a, b in zip(result, expected, strict=True))
    for kind in ("noise", "patch", []):
        empty = paste(image[:0], source[:0], INDEX[:0], seed=2, kind=kind, backend=backend)
        assert [tuple(part.shape) for part in empty] == [(0, 3, 8, 9), (0, 8, 9), (0,)]


def test_names_and_positions_mean_the_same() -> None:
    image, source = example((len(INDEX), 1, 8, 9))
    names = [KINDS[kind] for kind in MIXED]
    pairs = zip(
        paste(image, source, INDEX, seed=2, kind=names),
        paste(image, source, INDEX, seed=2, kind=MIXED),
        strict=True,
    )
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients(backend: str) -> None:
    inputs = [x.requires_grad_() for x in example((3, 1, 2, 3), torch.float64)]
    assert torch.autograd.gradcheck(
        lambda image, source: paste(image, source, INDEX[:3], seed=2, kind=MIXED[:3], backend=backend)[0],
        inputs,
        fast_mode=INTERPRETED,
    )


@pytest.mark.parametrize("area", [(0.0, 1.0), (0.02, 0.1)])
@pytest.mark.parametrize("dtype", DTYPES[1:])
@pytest.mark.parametrize("backend", [backend for backend in BACKENDS if backend != "reference"])
def test_gradients_of_the_kernel_are_those_of_the_reference(
    dtype: torch.dtype, area: tuple[float, float], backend: str, close: Callable[..., None]
) -> None:
    size = (len(INDEX), 2, 17, 23) if INTERPRETED else (len(INDEX), 5, 33, 47)
    grad = torch.randn(size, generator=torch.Generator().manual_seed(1)).to(dtype)
    layouts = torch.contiguous_format, torch.channels_last
    for layout in layouts[1:] if INTERPRETED else layouts:
        results = []
        for chosen in (backend, "reference"):
            inputs = [x.to(memory_format=layout).requires_grad_() for x in example(size, dtype)]
            pasted = paste(*inputs, INDEX, seed=4, kind=MIXED, area=area, backend=chosen)[0]
            results.append(torch.autograd.grad(pasted, inputs, grad.to(memory_format=layout)))
        for ours, theirs in zip(*results, strict=True):
            if dtype in (torch.bfloat16, torch.float16):
                close(ours, theirs)  # what several pixels of a scar add up to is rounded in another order
            else:
                torch.testing.assert_close(ours, theirs)


@options(max_examples=3 if INTERPRETED else 30, deadline=None)
@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 140)),
    dtype=st.sampled_from(DTYPES),
    last=st.booleans(),
    odd=st.sampled_from([math.inf, -math.inf, math.nan]),
    area=st.sampled_from([(0.0, 1.0), (0.0, 0.05), (0.1, 0.3)]),
    seed=st.integers(0, 2**63 - 1),
)
def test_backends_agree_on_any_image(
    size: tuple[int, int, int], dtype: torch.dtype, last: bool, odd: float, area: tuple[float, float], seed: int
) -> None:
    few = INDEX[:6]
    inputs = example((len(few), *size), dtype)
    if dtype.is_floating_point:
        for x in inputs:
            x[torch.rand(x.shape, generator=torch.Generator().manual_seed(seed % 2**31)) < 0.05] = odd
    if last:
        inputs = tuple(x.to(memory_format=torch.channels_last) for x in inputs)
    results = [paste(*inputs, few, seed=seed, kind=MIXED[:6], area=area, backend=backend) for backend in BACKENDS]
    for image, mask, alpha in results:
        # A pixel whose noise lies within 1e-5 of the threshold may differ, and so may what hangs on it.
        same = (mask == results[0][1]).flatten(1).all(1)
        assert same.sum() >= len(few) - 1
        torch.testing.assert_close(image[same], results[0][0][same], equal_nan=True)
        assert torch.equal(alpha, results[0][2])


def test_gradients_reach_the_pixels_that_moved() -> None:
    image, _ = example((1, 1, 24, 24), torch.float32)
    result, mask, _ = paste(image.requires_grad_(), None, INDEX[:1], seed=2, kind="patch")
    result[mask.unsqueeze(1)].sum().backward()
    assert image.grad.sum() == mask.sum()
    assert image.grad[0, 0][~mask[0]].sum() > 0


def test_operator_contract() -> None:
    settings = 3, 0.5, [0.5, 1.0], [0, 6], [0.0, 0.2], 8, ""
    few = len(INDEX[:6])
    image, source = example((few, 3, 11, 13), torch.float64)
    images = image.requires_grad_(), source.requires_grad_()
    torch.library.opcheck(torch.ops.dssm.paste.default, (*images, INDEX[:6], MIXED[:6], *settings))
    image, _ = example((few, 3, 11, 13))
    torch.library.opcheck(torch.ops.dssm.paste.default, (image, None, INDEX[:6], MIXED[:6].clamp(min=1), *settings))


def test_compiles_whole() -> None:
    image, source = example((2, 3, 8, 9))

    def run(image: torch.Tensor, source: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return paste(image, source, index, seed=4, kind=["noise", "scar"])[0].float() / 255

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(image, source, INDEX[:2]), run(image, source, INDEX[:2]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": torch.zeros(2, 3, 4)}, "image must have 4 dimensions"),
        ({"image": torch.zeros(2, 3, 0, 4)}, "image must have at least one channel and one pixel"),
        ({"source": torch.zeros(2, 3, 4, 5)}, "source must be one of uint8"),
        ({"source": None}, "source must be given"),
        ({"source": None, "kind": ["scar", "noise"]}, "source must be given"),
        ({"index": torch.arange(3)}, "index must have shape \\(2,\\)"),
        ({"kind": "hole"}, "kind must be one of noise, scar, patch, not 'hole'"),
        ({"kind": ["scar"]}, "kind must be one name or one per sample, 2, not 1"),
        ({"kind": torch.zeros(2)}, "kind must be one of int64"),
        ({"threshold": math.nan}, "threshold must be a number in \\[-2, 2\\]"),
        ({"alpha": (0.7, 0.2)}, "alpha must be a pair with 0 <= first <= second <= 1"),
        ({"alpha": (0.7, 1.2)}, "alpha must be a pair"),
        ({"resolution": (6, 0)}, "resolution must be two integers"),
        ({"area": (-0.1, 1)}, "area must be a pair"),
        ({"connectivity": 6}, "connectivity must be one of 4, 8"),
        ({"seed": 2**64}, "seed must be"),
    ],
)
def test_what_is_refused(arguments: dict, message: str) -> None:
    image, source = example((2, 3, 4, 5))
    with pytest.raises(InputError, match=message):
        paste(**{"image": image, "source": source, "index": torch.arange(2), "seed": 0} | arguments)
