# SPDX-License-Identifier: Apache-2.0
"""The masked convolution against eq. 6 and 7 written out, its gradients, autocast and bad input."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dssm import backends
from dssm.errors import InputError
from dssm.ops import mscm

Close = Callable[..., None]
BACKENDS = [name for name in ("reference", "cpu") if isinstance(backends.load("mscm", name), ModuleType)]
each_backend = pytest.mark.parametrize("backend", BACKENDS)
SIZES = [(2, 3, 1, 1), (1, 1, 5, 7), (3, 6, 8, 8), (2, 17, 13, 4), (0, 3, 8, 8)]


def literal(x: Tensor, weight: Tensor, bias: Tensor | None, d: int) -> Tensor:
    """Expand by d zeros, split into four corners of x's size, convolve each, add up."""
    height, width = x.shape[2:]
    padded = F.pad(x, (d, d, d, d))
    corners = [
        padded[:, :, :height, :width],
        padded[:, :, :height, -width:],
        padded[:, :, -height:, :width],
        padded[:, :, -height:, -width:],
    ]
    weight = weight.expand(4, -1, -1, -1, -1)
    total = sum(F.conv2d(corners[i], weight[i], padding=weight.shape[-1] // 2) for i in range(4))
    return total if bias is None else total + bias[:, None, None]


def case(
    size: tuple[int, ...],
    windows: int,
    k: int,
    generator: torch.Generator,
    out: int = 4,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor, Tensor]:
    """x, weight and bias, all about as large as one."""
    x = torch.randn(size, generator=generator, dtype=dtype)
    weight = torch.randn(windows, out, size[1], k, k, generator=generator, dtype=dtype) / (4 * size[1] * k * k) ** 0.5
    return x, weight, torch.randn(out, generator=generator, dtype=dtype)


@each_backend
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("windows", [1, 4])
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("d", [1, 2, 9])
def test_equals_the_formula(
    size: tuple[int, ...], windows: int, k: int, d: int, backend: str, generator: torch.Generator
) -> None:
    x, weight, bias = case(size, windows, k, generator)
    for b in (bias, None):
        actual = mscm(x, weight, b, dilation=d, activation="none", backend=backend)
        torch.testing.assert_close(actual, literal(x, weight, b, d), rtol=0, atol=7e-15 if k == 1 else 1e-13)


@each_backend
def test_top_left_window_looks_up_and_left(backend: str) -> None:
    x = torch.zeros(1, 1, 7, 7)
    x[0, 0, 3, 3] = 1
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1, 1, 1)
    seen = mscm(x, weight, dilation=2, activation="none", backend=backend)[0, 0]
    assert [seen[5, 5], seen[5, 1], seen[1, 5], seen[1, 1]] == [1, 2, 3, 4]
    assert seen.count_nonzero() == 4


@each_backend
@pytest.mark.parametrize("k", [1, 3])
def test_centre_is_masked(k: int, backend: str, generator: torch.Generator) -> None:
    """No output reads its own position as long as the windows do not reach it: k // 2 < d."""
    x, weight, bias = case((1, 2, 9, 9), 4, k, generator)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(mscm(x, weight, bias, backend=backend)[0, :, 4, 4].sum(), x)
    assert not gradient[..., 4, 4].any()
    assert gradient.any()


@each_backend
@pytest.mark.parametrize("activation", ["sigmoid", "relu", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("k", [1, 3])
def test_layouts_dtypes_and_activations(
    k: int,
    dtype: torch.dtype,
    activation: str,
    layout: Callable,
    backend: str,
    generator: torch.Generator,
    close: Close,
) -> None:
    x, weight, bias = (tensor.to(dtype) for tensor in case((2, 5, 6, 7), 4, k, generator))
    x = layout(x)
    expected = literal(x.double(), weight.double(), bias.double(), 2)
    expected = {"sigmoid": expected.sigmoid(), "relu": expected.relu(), "none": expected}[activation]
    actual = mscm(x, weight, bias, activation=activation, backend=backend)
    assert actual.dtype == dtype
    close(actual, expected)


@each_backend
@pytest.mark.parametrize(
    ("windows", "k", "activation"),
    [(4, 1, "sigmoid"), (4, 1, "relu"), (1, 1, "none"), (4, 3, "none"), (1, 3, "sigmoid")],
)
def test_gradcheck(windows: int, k: int, activation: str, backend: str, generator: torch.Generator) -> None:
    arguments = [tensor.requires_grad_() for tensor in case((1, 1, 3, 4), windows, k, generator, out=2)]
    torch.autograd.gradcheck(lambda *a: mscm(*a, activation=activation, backend=backend), arguments)


@each_backend
def test_autocast_casts_the_inputs(backend: str, generator: torch.Generator) -> None:
    x, weight, bias = (t.requires_grad_() for t in case((2, 4, 6, 6), 4, 1, generator, dtype=torch.float32))
    with torch.autocast("cpu", torch.bfloat16):
        actual = mscm(x, weight, bias, backend=backend)
    expected = mscm(x.bfloat16(), weight.bfloat16(), bias.bfloat16(), backend=backend)
    assert actual.dtype == torch.bfloat16
    assert torch.equal(actual, expected)
    assert torch.autograd.grad(actual.float().sum(), weight)[0].dtype == torch.float32


@each_backend
def test_registration(backend: str, generator: torch.Generator, close: Close) -> None:
    x, weight, bias = (t.requires_grad_() for t in case((2, 4, 6, 6), 4, 1, generator, dtype=torch.float32))
    channels_last = x.detach().to(memory_format=torch.channels_last).requires_grad_()
    for arguments in ((x, weight, bias), (x, weight, None), (channels_last, weight, bias)):
        torch.library.opcheck(torch.ops.dssm.mscm.default, (*arguments, 2, "sigmoid", backend))
        # The gradient too: its shape rule must promise the strides that it really has.
        inputs = [None if t is None else t.detach() for t in arguments]
        grad = torch.ones_like(mscm(*inputs, backend=backend))
        torch.library.opcheck(torch.ops.dssm.mscm_backward.default, (grad, *inputs, 2, "sigmoid", backend))
    compiled = torch.compile(lambda *a: mscm(*a, backend=backend), fullgraph=True, backend="aot_eager")
    close(compiled(x, weight, bias), mscm(x, weight, bias, backend=backend))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.zeros(2, 8, 8)}, "x must have 4 dimensions"),
        ({"weight": torch.zeros(4, 2, 3, 2, 2)}, "with odd k"),
        ({"weight": torch.zeros(4, 2, 3, 1, 3)}, "with odd k"),
        ({"weight": torch.zeros(2, 2, 3, 1, 1)}, r"weight must have shape \(4 or 1"),
        ({"weight": torch.zeros(4, 2, 5, 1, 1)}, "weight must have 3 input channels to fit x, not 5"),
        ({"bias": torch.zeros(3)}, r"bias must have shape \(2,\)"),
        ({"dilation": 0}, "dilation must be at least 1"),
        ({"activation": "tanh"}, "activation must be one of sigmoid, relu, none"),
        ({"x": torch.zeros(1, 3, 8, 8, dtype=torch.float64)}, "one dtype"),
    ],
)
def test_bad_input(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mscm(**{"x": torch.zeros(1, 3, 8, 8), "weight": torch.zeros(4, 2, 3, 1, 1), **arguments})
