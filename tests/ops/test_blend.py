# SPDX-License-Identifier: Apache-2.0
"""Equation 3 against itself in exact arithmetic, its copies, and its gradients."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dssm import backends
from dssm.errors import InputError
from dssm.ops import blend

BACKENDS = backends.available("blend", "cpu")
DTYPES = [torch.uint8, torch.float32, torch.float64, torch.bfloat16, torch.float16]
TOLERANCE = {
    torch.uint8: 0,
    torch.float32: 1e-6,
    torch.float64: 1e-15,
    torch.bfloat16: 2**-8,
    torch.float16: 2**-11,
}
LAYOUTS = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.to(memory_format=torch.channels_last),
    "sliced": lambda x: torch.stack([x, x], -1)[..., 0],
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "flat": lambda x: x[:, :, :, :1].expand(x.shape),  # stride 0: every row has one value
}


def example(size: tuple[int, ...], dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(0)
    image, source = (torch.rand(size, generator=random, dtype=torch.float64) for _ in range(2))
    if dtype == torch.uint8:
        image, source = image * 256, source * 256
    mask = torch.rand(size[0], *size[2:], generator=random) > 0.4
    alpha = torch.rand(size[0], generator=random)
    return image.to(dtype), source.to(dtype), mask, alpha


@pytest.mark.parametrize("backend", BACKENDS)
def test_uint8_is_the_nearest_integer_of_the_fixed_point_mix(backend: str) -> None:
    values = torch.arange(256, dtype=torch.uint8)
    image, source = (grid[None, None].contiguous() for grid in torch.meshgrid(values, values, indexing="ij"))
    mask = torch.ones(1, 256, 256, dtype=torch.bool)
    for alpha in (0.0, 1 / 65536, 0.3, 0.5, 0.8371, 1.0):
        weight = round(alpha * 65536)
        mixed = blend(image, source, mask, torch.tensor([alpha]), backend=backend)[0, 0]
        for a, b in [(0, 0), (0, 255), (255, 0), (255, 255), (17, 201), (254, 3), (128, 127)]:
            exact = Fraction(weight * a + (65536 - weight) * b, 65536)
            assert int(mixed[a, b]) == int(exact + Fraction(1, 2))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_the_formula(dtype: torch.dtype, layout: str, backend: str) -> None:
    image, source, mask, alpha = example((3, 3, 17, 43), dtype)
    image, source = LAYOUTS[layout](image), LAYOUTS[layout](source)
    a = alpha.double().view(-1, 1, 1, 1)
    if dtype == torch.uint8:
        a = (a * 65536).round() / 65536
    inside = mask.unsqueeze(1)
    exact = torch.where(inside, a * image.double() + (1 - a) * source.double(), image.double())
    expected = (exact + 0.5).floor().to(dtype) if dtype == torch.uint8 else exact.to(dtype)

    strided_mask = mask.transpose(1, 2).contiguous().transpose(1, 2)
    result = blend(image, source, strided_mask, torch.stack([alpha, alpha], 1)[:, 0], backend=backend)
    assert result.is_contiguous()
    torch.testing.assert_close(result, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    outside = (~inside).expand_as(image)
    assert torch.equal(result[outside], image[outside])


@pytest.mark.parametrize("backend", BACKENDS)
def test_outside_the_mask_nothing_of_the_source_leaks(backend: str) -> None:
    image, source, mask, alpha = example((2, 1, 4, 5), torch.float32)
    source[~mask.unsqueeze(1)] = torch.nan
    result = blend(image, source, mask, alpha, backend=backend)
    assert torch.isfinite(result).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [(0, 3, 4, 5), (2, 3, 0, 5), (1, 1, 1, 1), (2, 5, 1, 33)])
def test_sizes(size: tuple[int, ...], backend: str) -> None:
    arguments = example(size, torch.uint8)
    assert torch.equal(blend(*arguments, backend=backend), blend(*arguments, backend="reference"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients(backend: str) -> None:
    image, source, mask, alpha = example((2, 2, 3, 4), torch.float64)
    inputs = image.requires_grad_(), source.requires_grad_(), mask, alpha.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda *inputs: blend(*inputs, backend=backend), inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gradients_in_closed_form(dtype: torch.dtype) -> None:
    image, source, mask, alpha = example((2, 3, 5, 7), dtype)
    blend(image.requires_grad_(), source.requires_grad_(), mask, alpha).sum().backward()
    inside, a = mask.unsqueeze(1), alpha.view(-1, 1, 1, 1)
    torch.testing.assert_close(image.grad, torch.where(inside, a, 1).expand_as(image).to(dtype))
    torch.testing.assert_close(source.grad, torch.where(inside, 1 - a, 0).expand_as(image).to(dtype))


@pytest.mark.skipif("cpu" not in BACKENDS, reason="needs the C++ kernel")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_gradients_of_the_kernel_are_those_of_the_reference(dtype: torch.dtype, layout: str) -> None:
    change = LAYOUTS[layout]
    image, source, mask, alpha = example((3, 3, 5, 43), dtype)
    grad = change(torch.randn(3, 3, 5, 43, generator=torch.Generator().manual_seed(1)).to(dtype))
    results = []
    for backend in ("cpu", "reference"):
        leaves = [x.detach().requires_grad_() for x in (change(image), change(source), alpha)]
        result = blend(leaves[0], leaves[1], mask, leaves[2], backend=backend)
        results.append(torch.autograd.grad(result, leaves, grad))
    for ours, theirs in zip(*results, strict=True):
        rounding = TOLERANCE[dtype] if ours is not results[0][2] else 20 * TOLERANCE[dtype]  # a sum of 600 products
        torch.testing.assert_close(ours, theirs, rtol=rounding, atol=rounding)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(0, 5), st.integers(0, 100)),
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from(list(LAYOUTS)),
    density=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_backends_agree(size: tuple[int, ...], dtype: torch.dtype, layout: str, density: float, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    image, source = (torch.rand(size, generator=random) * 250 for _ in range(2))
    if dtype.is_floating_point:
        odd = torch.tensor([torch.inf, -torch.inf, torch.nan, -0.0])
        for x in (image, source):
            x.copy_(torch.where(torch.rand(size, generator=random) < 0.1, odd[int(seed % 4)], x))
    image, source = (LAYOUTS[layout](x.to(dtype)) for x in (image, source))
    mask = torch.rand(size[0], *size[2:], generator=random) < density
    alpha = torch.rand(size[0], generator=random)
    results = [blend(image, source, mask, alpha, backend=backend) for backend in BACKENDS]
    for result in results:
        tolerance = TOLERANCE[dtype]
        torch.testing.assert_close(result, results[0], rtol=tolerance, atol=tolerance, equal_nan=True)


def test_operator_contract() -> None:
    for dtype in (torch.uint8, torch.float64):
        image, source, mask, alpha = example((2, 3, 5, 7), dtype)
        if dtype.is_floating_point:
            image, source, alpha = (x.requires_grad_() for x in (image, source, alpha))
        torch.library.opcheck(torch.ops.dssm.blend.default, (image, source, mask, alpha, ""))


def test_compiles_whole() -> None:
    arguments = example((2, 3, 5, 7), torch.float32)
    compiled = torch.compile(lambda *inputs: blend(*inputs) + 1, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(*arguments), blend(*arguments) + 1)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, torch.zeros(2, 3, 4), "image must have 4 dimensions"),
        (0, torch.zeros(2, 3, 4, 5, dtype=torch.int32), "image must be one of uint8, float32"),
        (1, torch.zeros(2, 3, 4, 6), "source must have shape \\(2, 3, 4, 5\\) to fit image"),
        (1, torch.zeros(2, 3, 4, 5, dtype=torch.float64), "source must be one of float32"),
        (2, torch.zeros(2, 4, 5), "mask must be one of bool"),
        (2, torch.zeros(2, 5, 4, dtype=torch.bool), "mask must have shape \\(2, 4, 5\\)"),
        (3, torch.zeros(3), "alpha must have shape \\(2,\\)"),
        (3, [0.5, 0.5], "alpha must be a tensor"),
    ],
)
def test_what_is_refused(position: int, value: object, message: str) -> None:
    arguments: list = list(example((2, 3, 4, 5), torch.float32))
    arguments[position] = value
    with pytest.raises(InputError, match=message):
        blend(*arguments)
