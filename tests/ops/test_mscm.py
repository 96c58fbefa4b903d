# SPDX-License-Identifier: Apache-2.0
"""The masked convolution and its attention against eq. 6 to 8 written out, their gradients, autocast and bad input."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dssm import backends
from dssm.errors import InputError
from dssm.ops import mscm

Close = Callable[..., None]
Attention = tuple[Tensor, Tensor, Tensor, Tensor]
BACKENDS = backends.available("mscm", "cpu")
each_backend = pytest.mark.parametrize("backend", BACKENDS)
KERNELS = [backend for backend in BACKENDS if backend != "reference"]
each_kernel = pytest.mark.parametrize("backend", KERNELS)
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


def attended(y: Tensor, attention: Attention) -> Tensor:
    """Squeeze, excite and multiply."""
    w1, b1, w2, b2 = attention
    hidden = torch.relu(y.mean((2, 3)) @ w1.T + b1)
    return y * torch.sigmoid(hidden @ w2.T + b2)[:, :, None, None]


def attention_case(channels: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Attention:
    """The attention's weights, with half the hidden channels that there are channels."""
    hidden = max(1, channels // 2)
    sizes = [(hidden, channels), (hidden,), (channels, hidden), (channels,)]
    w1, b1, w2, b2 = (torch.randn(size, generator=generator, dtype=dtype) / size[-1] ** 0.5 for size in sizes)
    return w1, b1, w2, b2


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
@pytest.mark.parametrize("attend", [False, True])
@pytest.mark.parametrize("activation", ["sigmoid", "relu", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("k", [1, 3])
def test_layouts_dtypes_and_activations(
    k: int,
    dtype: torch.dtype,
    activation: str,
    attend: bool,
    layout: Callable,
    backend: str,
    generator: torch.Generator,
    close: Close,
) -> None:
    x, weight, bias = (tensor.to(dtype) for tensor in case((2, 5, 6, 7), 4, k, generator))
    attention = attention_case(4, generator, dtype) if attend else None
    x = layout(x)
    expected = literal(x.double(), weight.double(), bias.double(), 2)
    expected = {"sigmoid": expected.sigmoid(), "relu": expected.relu(), "none": expected}[activation]
    if attention is not None:
        expected = attended(expected, tuple(tensor.double() for tensor in attention))
    actual = mscm(x, weight, bias, activation=activation, attention=attention, backend=backend)
    assert actual.dtype == dtype
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    assert actual.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    close(actual, expected)


# (B, C, Cout, H, W): one pixel; no multiples of anything; more channels than a panel has rows, and images that share a
# strip; a map of several strips; so few results that the kernel computes the gradients alone; not even those.
SHAPES = [
    (2, 3, 45, 1, 1),
    (3, 17, 41, 8, 8),
    (2, 40, 70, 7, 9),
    (9, 300, 36, 5, 6),
    (2, 8, 48, 40, 50),
    (3, 50, 2, 6, 7),
    (1, 2, 1, 3, 2),
]


ENDS = [("sigmoid", True), ("relu", True), ("none", True), ("relu", False)]
CASES = [("cpu", *case) for case in product(SHAPES, [1, 4], [1, 2, 9], ENDS) if "cpu" in BACKENDS]
# Interpreted, a program takes milliseconds: several tiles along every axis, but few of them.
CASES += [
    ("triton", shape, windows, dilation, end)
    for shape in [(2, 3, 45, 1, 1), (2, 20, 70, 5, 15), (3, 50, 2, 6, 7)]
    for windows, dilation, end in zip([1, 4, 4, 1], [2, 1, 9, 2], ENDS, strict=True)
    if "triton" in BACKENDS
]


@pytest.mark.parametrize(("backend", "shape", "windows", "dilation", "end"), CASES)
def test_kernel_equals_the_reference_and_its_gradients(
    backend: str,
    shape: tuple[int, ...],
    windows: int,
    dilation: int,
    end: tuple[str, bool],
    generator: torch.Generator,
    close: Close,
) -> None:
    activation, attend = end
    batch, channels, out, height, width = shape
    tensors = [*case((batch, channels, height, width), windows, 1, generator, out=out)]
    if attend:
        tensors += attention_case(out, generator)
    grad = torch.randn(batch, out, height, width, generator=generator, dtype=torch.float64)
    grad /= (batch * height * width) ** 0.5
    compare_gradients(tensors, grad, torch.float32, backend, close, dilation=dilation, activation=activation)


@each_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_gradients_in_every_layout_and_dtype(
    dtype: torch.dtype, activation: str, layout: Callable, backend: str, generator: torch.Generator, close: Close
) -> None:
    tensors = [*case((2, 5, 6, 7), 4, 1, generator, out=43), *attention_case(43, generator)]
    tensors[0] = layout(tensors[0])
    grad = torch.randn(2, 43, 6, 7, generator=generator, dtype=torch.float64) / 9
    others = (grad, grad.contiguous(memory_format=torch.channels_last)) if backend != "triton" else ()
    for shaped in (layout(grad), *others):
        compare_gradients(tensors, shaped, dtype, backend, close, activation=activation)


def compare_gradients(
    tensors: list[Tensor], grad: Tensor, dtype: torch.dtype, kernel: str, close: Close, **options: Any
) -> None:
    """Result and gradients of the kernel in `dtype` beside those of the reference in float64, for the same numbers."""
    results = []
    for computed, backend in ((dtype, kernel), (torch.float64, "reference")):
        leaves = [preserve(tensor, dtype, computed).requires_grad_() for tensor in tensors]
        x, weight, bias, *attention = leaves
        result = mscm(x, weight, bias, attention=tuple(attention) or None, backend=backend, **options)
        grads = torch.autograd.grad(result, leaves, preserve(grad, dtype, computed))
        results.append([result.detach(), *grads])
    for actual, expected in zip(*results, strict=True):
        assert actual.dtype == dtype
        close(actual, expected)


def preserve(tensor: Tensor, rounded: torch.dtype, computed: torch.dtype) -> Tensor:
    """The numbers that `rounded` can hold, in another dtype, with the strides that the tensor has."""
    copy = torch.empty(tensor.untyped_storage().nbytes() // tensor.itemsize, dtype=computed)
    copy = copy.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
    one = tuple(slice(0, 1) if stride == 0 else slice(None) for stride in tensor.stride())
    copy[one].copy_(tensor[one].to(rounded))
    return copy


@pytest.mark.skipif("cpu" not in BACKENDS, reason="the extension is not built")
def test_the_number_of_threads_changes_nothing(generator: torch.Generator) -> None:
    """Here there is enough to do for several."""
    tensors = [*case((7, 40, 32, 32), 4, 1, generator, out=70), *attention_case(70, generator)]
    leaves = [tensor.float().requires_grad_() for tensor in tensors]
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        result = mscm(*leaves[:3], attention=tuple(leaves[3:]), backend="cpu")
        results.append([result, *torch.autograd.grad(result.square().sum(), leaves)])
    torch.set_num_threads(1)
    for others in results[1:]:
        assert all(torch.equal(one, other) for one, other in zip(results[0], others, strict=True))


@each_kernel
@pytest.mark.parametrize(("dtype", "low"), [(torch.float32, -95.0), (torch.float32, -200.0), (torch.float16, -14.0)])
def test_a_scale_that_underflows_keeps_its_gradient(
    dtype: torch.dtype, low: float, backend: str, generator: torch.Generator, close: Close
) -> None:
    """The map before the attention cannot be had back from the result then."""
    tensors = [*case((2, 3, 5, 4), 4, 1, generator, out=36), *attention_case(36, generator)]
    tensors[-1] = tensors[-1] * 0 + low
    compare_gradients(tensors, torch.ones(2, 36, 5, 4, dtype=torch.float64), dtype, backend, close)


@each_backend
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_reaches_four_neighbours(value: float, backend: str) -> None:
    x = torch.zeros(2, 3, 9, 9)
    x[1, 2, 4, 4] = value
    result = mscm(x, torch.ones(4, 40, 3, 1, 1), activation="none", backend=backend)
    assert (~result.isfinite()).nonzero()[:, 1:].unique(dim=0).shape[0] == 40 * 4
    assert not result[0].any()
    assert not result[1, :, 2:7:4, 2:7:4].isfinite().any()
    sigmoid = mscm(x, -torch.ones(4, 40, 3, 1, 1), backend=backend)[1, 0, 2, 2]
    assert sigmoid.isnan() if value != value else sigmoid == 0


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    """Any small problem; now and then with values that are huge or not finite."""
    seed, special = draw(st.integers(0, 2**31)), draw(st.sampled_from([None, None, 1e30, float("inf"), float("nan")]))
    batch, channels, out, height, width = (draw(st.integers(1, most)) for most in (5, 40, 80, 12, 12))
    generator = torch.Generator().manual_seed(seed)
    x, weight, bias = case((batch, channels, 2 * height, 3 * width), draw(st.sampled_from([1, 4])), 1, generator, out)
    if special is not None:
        x.view(-1)[seed % x.numel()] = special
    views = [x, x.mT, x[..., ::2, 1::3], x.contiguous(memory_format=torch.channels_last), x[:1].expand(x.shape)]
    return {
        "x": draw(st.sampled_from(views)).to(draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))),
        "weight": weight,
        "bias": draw(st.sampled_from([bias, None])),
        "attention": draw(st.sampled_from([None, attention_case(out, generator)])),
        "dilation": draw(st.integers(1, 14)),
        "activation": draw(st.sampled_from(["sigmoid", "relu", "none"])),
    }


@each_kernel
@settings(max_examples=10 if backends.INTERPRETED else 60, deadline=None, derandomize=True)
@given(problem=problems())
def test_fuzz(problem: dict[str, Any], backend: str) -> None:
    """The kernel beside the reference in float64 wherever that is finite, and not finite where it is not."""
    dtype = problem["x"].dtype
    numbers = {name: to(value, dtype) for name, value in problem.items()}
    actual = mscm(**numbers, backend=backend)
    expected = mscm(**{name: to(value, torch.float64) for name, value in numbers.items()}, backend="reference")
    tolerance = {torch.float32: (1e-5, 2e-5), torch.bfloat16: (1.6e-2, 2e-2), torch.float16: (2e-3, 2e-3)}[dtype]
    limit = torch.finfo(dtype).max
    expected = torch.where(expected.abs() > limit, expected.sign() * float("inf"), expected)
    torch.testing.assert_close(
        actual.double(), expected, rtol=tolerance[0], atol=tolerance[1], equal_nan=True, check_stride=False
    )


def to(value: Any, dtype: torch.dtype) -> Any:
    """Tensors, alone or in a tuple, in another dtype."""
    if isinstance(value, tuple):
        return tuple(to(item, dtype) for item in value)
    return value.to(dtype) if isinstance(value, Tensor) else value


@each_backend
@pytest.mark.parametrize(
    ("windows", "k", "activation"),
    [(4, 1, "sigmoid"), (4, 1, "relu"), (1, 1, "none"), (4, 3, "none"), (1, 3, "sigmoid")],
)
def test_gradcheck(windows: int, k: int, activation: str, backend: str, generator: torch.Generator) -> None:
    arguments = [tensor.requires_grad_() for tensor in case((1, 1, 3, 4), windows, k, generator, out=2)]
    fast = backend == "triton"  # interpreted, a launch takes 10 ms
    torch.autograd.gradcheck(lambda *a: mscm(*a, activation=activation, backend=backend), arguments, fast_mode=fast)
    arguments += [tensor.requires_grad_() for tensor in attention_case(2, generator)]
    torch.autograd.gradcheck(
        lambda *a: mscm(*a[:3], activation=activation, attention=a[3:], backend=backend), arguments, fast_mode=fast
    )


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
    attention = tuple(t.requires_grad_() for t in attention_case(4, generator, torch.float32))
    for arguments in ((x, weight, None, *(None,) * 4), (channels_last, weight, bias, *attention)):
        torch.library.opcheck(torch.ops.dssm.mscm.default, (*arguments, 2, "sigmoid", backend))
        # The gradient too: its shape rule must promise the strides that it really has.
        inputs = [None if t is None else t.detach() for t in arguments]
        outputs = torch.ops.dssm.mscm(*inputs, 2, "sigmoid", backend)
        grad = torch.ones_like(outputs[0])
        torch.library.opcheck(torch.ops.dssm.mscm_backward.default, (grad, *inputs, 2, "sigmoid", backend, *outputs))
    compiled = torch.compile(
        lambda *a: mscm(*a[:3], attention=a[3:], backend=backend), fullgraph=True, backend="aot_eager"
    )
    close(compiled(x, weight, bias, *attention), mscm(x, weight, bias, attention=attention, backend=backend))


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
        ({"x": torch.zeros(1, 3, 8, 8, dtype=torch.float64)}, "one dtype, not x of float64, weight of float32"),
        ({"attention": (torch.zeros(1, 2),)}, "attention must be four tensors"),
        (
            {"attention": (torch.zeros(1, 2), torch.zeros(1), torch.zeros(2), torch.zeros(2))},
            r"attention\[2\] must have 2",
        ),
        (
            {"attention": (torch.zeros(1, 3), torch.zeros(1), torch.zeros(2, 1), torch.zeros(2))},
            r"attention\[0\] must have",
        ),
    ],
)
def test_bad_input(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mscm(**{"x": torch.zeros(1, 3, 8, 8), "weight": torch.zeros(4, 2, 3, 1, 1), **arguments})
