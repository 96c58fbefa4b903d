# SPDX-License-Identifier: Apache-2.0
"""The RandAugment operations against Pillow, bit for bit, one by one and as drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from dssm import backends
from dssm.errors import InputError
from dssm.ops import augment
from dssm.reference.augment import OPERATIONS, RANGES, plan

BACKENDS = backends.available("augment", "cpu")
NAMES = [operation.__name__ for operation in OPERATIONS]
PILLOW = {
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "posterize": ImageOps.posterize,
    "solarize": ImageOps.solarize,
    "sharpness": lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor / 256),
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor / 256),
    "color": lambda image, factor: ImageEnhance.Color(image).enhance(factor / 256),
}


def to_pillow(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).squeeze(2).contiguous().numpy())


def from_pillow(image: Image.Image) -> torch.Tensor:
    values = torch.from_numpy(np.array(image))
    return values.permute(2, 0, 1) if values.ndim == 3 else values.unsqueeze(0)


def images(count: int, channels: int, size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """Half noise of full range, half smooth and narrow, so that every look-up table is tried."""
    random = np.random.default_rng(seed)
    wild = random.integers(0, 256, (count, channels, *size))
    low = random.integers(0, 200, (count, channels, 1, 1))
    narrow = low + random.integers(0, 1 + random.integers(0, 56, (count, channels, 1, 1)), wild.shape)
    return torch.from_numpy(np.where(np.arange(count).reshape(-1, 1, 1, 1) % 2, narrow, wild).astype(np.uint8))


def operate(backend: str, number: int, batch: Tensor, magnitudes: Tensor) -> Tensor:
    """One operation on every image, each with a magnitude of its own."""
    if backend == "reference":
        return OPERATIONS[number](batch, magnitudes.int().view(-1, 1, 1, 1))
    if backend == "triton":
        from dssm.kernels.augment import follow

        steps = torch.stack([torch.full_like(magnitudes, number), magnitudes], 1)
        return follow(batch, steps.int().unsqueeze(1))
    from dssm.cpu.augment import operation

    each = zip(batch.split(1), magnitudes.tolist(), strict=True)
    return torch.cat([operation(image, number, magnitude) for image, magnitude in each])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("number", range(6), ids=NAMES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_each_operation_equals_pillow_at_every_magnitude(backend: str, number: int, channels: int) -> None:
    lo, hi = RANGES[number]
    magnitudes = torch.arange(lo, hi, 9 if backend == "triton" else 1)  # interpreted, each image takes 10 ms
    batch = images(len(magnitudes), channels, (13, 17))
    result = operate(backend, number, batch, magnitudes)
    assert result.dtype == torch.uint8
    for image, magnitude, mine in zip(batch, magnitudes, result, strict=True):
        theirs = from_pillow(PILLOW[NAMES[number]](to_pillow(image), int(magnitude)))
        assert torch.equal(mine, theirs), f"{NAMES[number]} {int(magnitude)}"


def ramps(low: int) -> Tensor:
    """(256 - low, 1, 16, 16): all values from `low` to each larger one."""
    tops = torch.arange(low, 256).unsqueeze(1)
    return torch.arange(256).clamp(min=low).minimum(tops).to(torch.uint8).view(-1, 1, 16, 16)


def test_autocontrast_equals_pillow_for_every_range() -> None:
    """Every fifth smallest value with every largest one, and all values between them."""
    for low in range(0, 256, 5):
        batch = ramps(low)
        result = OPERATIONS[0](batch, torch.zeros(1))
        for image, mine in zip(batch, result, strict=True):
            assert torch.equal(mine, from_pillow(ImageOps.autocontrast(to_pillow(image))))


@pytest.mark.skipif("cpu" not in BACKENDS, reason="NO KERNELS: the extension is not built")
def test_the_autocontrast_kernel_equals_the_reference_for_every_range() -> None:
    from dssm.cpu.augment import operation

    for low in range(256):
        assert torch.equal(operation(ramps(low), 0, 0), OPERATIONS[0](ramps(low), torch.zeros(1)))


@pytest.mark.skipif("cpu" not in BACKENDS, reason="NO KERNELS: the extension is not built")
@pytest.mark.parametrize("number", range(6), ids=NAMES)
def test_each_kernel_takes_every_layout(number: int, layout: Callable[[Tensor], Tensor]) -> None:
    magnitudes = torch.full((2,), RANGES[number][1] - 1)
    for channels, size in [(1, (7, 1)), (1, (1, 70)), (3, (64, 80)), (3, (40, 129))]:
        batch = layout(images(2, channels, size, seed=number))
        result = operate("cpu", number, batch, magnitudes)
        assert torch.equal(result, operate("reference", number, batch, magnitudes))


@pytest.mark.skipif("cpu" not in BACKENDS, reason="NO KERNELS: the extension is not built")
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(0, 4), st.sampled_from((1, 3)), st.integers(1, 40), st.integers(1, 150)),
    steps=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    start=st.integers(0, 2),
    order=st.permutations(range(4)),
    count=st.integers(0, 6),
    seed=st.integers(0, 2**63 - 1),
)
def test_any_size_and_strides(
    shape: tuple[int, ...], steps: tuple[int, int], start: int, order: list[int], count: int, seed: int
) -> None:
    batch, channels, height, width = shape
    memory = images(batch, channels, (height * steps[0] + start, width * steps[1] + start), seed=seed % 1000)
    memory = memory.permute(order).contiguous().permute([order.index(axis) for axis in range(4)])
    image = memory[:, :, start :: steps[0], start :: steps[1]]
    index = torch.arange(image.shape[0]) + seed % 99
    result = augment(image, index, seed=seed, count=count, backend="cpu")
    assert torch.equal(result, augment(image, index, seed=seed, count=count, backend="reference"))


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (9, 2), (3, 3), (31, 45), (3, 2100)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_chain_equals_pillow(backend: str, channels: int, size: tuple[int, int]) -> None:
    index = torch.arange(8 if backend == "triton" else 24)
    batch = images(len(index), channels, size, seed=1)
    for count in (1, 3, 6):
        chosen, magnitudes = plan(index, 8, count)
        result = augment(batch, index, seed=8, count=count, backend=backend)
        for i, image in enumerate(batch):
            pillow = to_pillow(image)
            for number, magnitude in zip(chosen[i], magnitudes[i], strict=True):
                pillow = PILLOW[NAMES[number]](pillow, int(magnitude))
            assert torch.equal(result[i], from_pillow(pillow))


def test_plan_draws_without_replacement_and_evenly() -> None:
    chosen, magnitudes = plan(torch.arange(6000), 3, 6)
    assert torch.equal(chosen.sort(1).values, torch.arange(6).expand(6000, 6))
    lo, hi = torch.tensor(RANGES).unbind(1)
    assert ((lo[chosen] <= magnitudes) & (magnitudes < hi[chosen])).all()
    for step in range(6):
        drawn = torch.bincount(chosen[:, step], minlength=6)
        assert (drawn - 1000).abs().max() < 5 * (1000 * 5 / 6) ** 0.5
    for number, (least, most) in enumerate(RANGES):
        assert set(magnitudes[chosen == number].tolist()) == set(range(least, most))


def test_fewer_operations_are_the_first_of_many() -> None:
    index = torch.arange(50)
    for count in range(6):
        for few, many in zip(plan(index, 3, count), plan(index, 3, 6), strict=True):
            assert torch.equal(few, many[:, :count])


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_image_depends_on_its_sample_number_alone(backend: str) -> None:
    index = torch.arange(9) * 2**40
    batch = images(9, 3, (8, 9))
    result = augment(batch, index, seed=2, backend=backend)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(augment(batch[order], index[order], seed=2, backend=backend), result[order])
    assert torch.equal(augment(batch[4:5], index[4:5], seed=2, backend=backend), result[4:5])


@pytest.mark.parametrize("backend", BACKENDS)
def test_layouts_empty_batches_and_no_operation(backend: str) -> None:
    index = torch.arange(6)
    batch = images(6, 3, (8, 9))
    expected = augment(batch, index, seed=2, backend=backend)
    last = batch.to(memory_format=torch.channels_last)
    sliced = torch.stack([batch, batch], -1)[..., 0]
    for strided in (last, sliced):
        result = augment(strided, index, seed=2, backend=backend)
        assert result.is_contiguous()
        assert torch.equal(result, expected)
    assert augment(batch[:0], index[:0], seed=2, backend=backend).shape == (0, 3, 8, 9)
    assert torch.equal(augment(batch, index, seed=2, count=0, backend=backend), batch)


def test_the_input_is_left_alone() -> None:
    batch = images(12, 3, (8, 9))
    before = batch.clone()
    augment(batch, torch.arange(12), seed=2, count=6)
    assert torch.equal(batch, before)


def test_operator_contract() -> None:
    torch.library.opcheck(torch.ops.dssm.augment.default, (images(3, 3, (5, 6)), torch.arange(3), 4, 3, ""))


def test_compiles_whole() -> None:
    batch, index = images(3, 3, (5, 6)), torch.arange(3)
    compiled = torch.compile(lambda *inputs: augment(*inputs, seed=4).float(), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(batch, index), augment(batch, index, seed=4).float())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": torch.zeros(2, 3, 4, 4)}, "image must be one of uint8"),
        (
            {"image": torch.zeros(2, 2, 4, 4, dtype=torch.uint8)},
            "number of channels of image must be one of 1, 3",
        ),
        ({"index": torch.arange(3)}, "index must have shape \\(2,\\) to fit image"),
        ({"seed": -3}, "seed must be"),
        ({"count": 7}, "count must be an integer from 0 to 6"),
        ({"count": 1.0}, "count must be an integer from 0 to 6"),
    ],
)
def test_what_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        augment(**{"image": images(2, 3, (4, 4)), "index": torch.arange(2), "seed": 0} | arguments)
