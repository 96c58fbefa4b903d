# SPDX-License-Identifier: Apache-2.0
"""How an op is made: one schema, one shape rule, and a function per backend, joined by torch.library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

from dssm import backends
from dssm.layout import memory_format

_library = torch.library.Library("dssm", "DEF")


def define(
    name: str,
    schema: str,
    *,
    fake: Callable,
    differentiable: tuple[str, ...] = (),
    keeps_layout: bool = False,
    saves_results: bool = False,
) -> Callable:
    """Register `dssm::<name>` and return it as a callable of positional arguments.

    `schema` is "(Tensor image, ..., str backend) -> Tensor"; its last argument is always the backend ("" for auto).
    `fake(*arguments)` allocates the results without computing them. Gradients of the first result flow to the tensor
    arguments named in `differentiable`, through `dssm::<name>_backward`; they are contiguous, or in the layout of their
    argument if the op `keeps_layout`. An op that `saves_results` hands all of them to its backward, after its inputs.
    """
    forward = _forward(name)
    _register(name, schema, forward, lambda *arguments: fake(*arguments[:-1]))
    if differentiable:
        _differentiate(name, schema, differentiable, memory_format if keeps_layout else _contiguous, saves_results)
    registered = getattr(torch.ops.dssm, name).default

    def call(*arguments: Any) -> Any:
        return registered(*arguments) if _observed(arguments) else forward(*arguments)

    return call


def _observed(arguments: tuple) -> bool:
    """Whether autograd, a compiler, a transform, a mode or the profiler must see the call.

    Else the dispatcher, which takes longer than a small kernel, is left out.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.autograd._profiler_enabled():
        return True
    if torch._C._len_torch_dispatch_stack() or torch._C._functorch.peek_interpreter_stack() is not None:
        return True
    differentiating = torch.is_grad_enabled()
    for value in arguments:
        if isinstance(value, torch.Tensor):
            plain = type(value) is torch.Tensor or type(value) is torch.nn.Parameter
            if not plain or (differentiating and value.requires_grad):
                return True
    return False


def _register(name: str, schema: str, function: Callable, fake: Callable) -> None:
    # Not torch.library.custom_op: its first call imports the compiler, seconds of waiting.
    _library.define(name + schema)
    _library.impl(name, function, "CompositeExplicitAutograd")
    torch.library.register_fake(f"dssm::{name}", fake, lib=_library)


def _forward(name: str) -> Callable:
    def forward(*arguments: Any) -> Any:
        *inputs, backend = arguments
        device = _device(inputs)
        implementation = backends.implementation(name, device, backend)
        if not torch.is_autocast_enabled(device.type):
            return implementation(*inputs)
        # An op decides itself what it computes in; autocast would change matrix products inside a reference.
        with torch.autocast(device.type, enabled=False):
            return implementation(*inputs)

    return forward


def _contiguous(_: torch.Tensor) -> torch.memory_format:
    return torch.contiguous_format


def _differentiate(
    name: str,
    schema: str,
    differentiable: tuple[str, ...],
    layout: Callable[[torch.Tensor], torch.memory_format],
    saves_results: bool,
) -> None:
    parameters, _, results = schema.partition(" -> ")
    names = [parameter.split("=")[0].split()[-1] for parameter in parameters.strip("()").split(", ")]
    positions = [names.index(argument) for argument in differentiable]
    single = not results.startswith("(")
    count = results.count("Tensor") if saves_results else 0
    parameters = parameters.strip("()")
    last = len(names) - 1  # of the arguments: the backend

    def vjp(grad: torch.Tensor, *arguments: Any) -> list[torch.Tensor]:
        inputs, backend, saved = list(arguments[:last]), arguments[last], arguments[last + 1 :]
        device = _device(inputs)
        module = backends.choose(name, device, backend)[1]
        kernel = getattr(module, f"{name}_backward", None)
        with torch.autocast(device.type, enabled=False):
            grads = kernel(grad, *inputs, *saved) if kernel else None
            if grads is None:
                grads = _reference_vjp(name, positions, grad, inputs)
        given = (inputs[i] for i in positions if inputs[i] is not None)
        return [grad.contiguous(memory_format=layout(value)) for grad, value in zip(grads, given, strict=True)]

    def fake_vjp(_: torch.Tensor, *arguments: Any) -> list[torch.Tensor]:
        given = (arguments[i] for i in positions if arguments[i] is not None)
        return [torch.empty_like(value, memory_format=layout(value)) for value in given]

    saved_parameters = "".join(f", Tensor saved{i}" for i in range(count))
    _register(f"{name}_backward", f"(Tensor grad, {parameters}{saved_parameters}) -> Tensor[]", vjp, fake_vjp)
    backward_op = getattr(torch.ops.dssm, f"{name}_backward")

    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        ctx.tensors = [i for i, value in enumerate(inputs) if isinstance(value, torch.Tensor)]
        saved = ((output,) if single else output)[:count]
        ctx.save_for_backward(*(inputs[i] for i in ctx.tensors), *saved)
        ctx.constants = [None if isinstance(value, torch.Tensor) else value for value in inputs]
        if not single:
            ctx.mark_non_differentiable(*output[1:])

    def backward(ctx: Any, grad: torch.Tensor, *_: Any) -> tuple:
        arguments = list(ctx.constants)
        tensors, saved = ctx.saved_tensors[: len(ctx.tensors)], ctx.saved_tensors[len(ctx.tensors) :]
        for i, tensor in zip(ctx.tensors, tensors, strict=True):
            arguments[i] = tensor
        given = [i for i in positions if arguments[i] is not None]
        grads: list[torch.Tensor | None] = [None] * len(arguments)
        for i, value in zip(given, backward_op(grad, *arguments, *saved), strict=True):
            grads[i] = value if arguments[i].is_floating_point() else None
        return tuple(grads)

    torch.library.register_autograd(f"dssm::{name}", backward, setup_context=setup_context, lib=_library)


def _reference_vjp(name: str, positions: list[int], grad: torch.Tensor, inputs: list[Any]) -> list[torch.Tensor]:
    """The gradient of any backend that brings none: autograd through the reference, which is differentiable PyTorch."""
    reference = backends.load(name, "reference")
    assert isinstance(reference, ModuleType)
    given = [i for i in positions if inputs[i] is not None]
    leaves = list(inputs)
    with torch.enable_grad(), _autograd_visible():
        for i in given:
            leaves[i] = inputs[i].detach()
            if leaves[i].is_floating_point():
                leaves[i].requires_grad_()
        result = getattr(reference, name)(*leaves)
        result = result[0] if isinstance(result, tuple) else result
        tracked = [i for i in given if leaves[i].requires_grad]
        grads = torch.autograd.grad(result, [leaves[i] for i in tracked], grad, materialize_grads=True)
    by_position = dict(zip(tracked, grads, strict=True))
    # A tensor of integers has no gradient; zeros keep the schema's shape promise.
    return [by_position[i] if i in by_position else torch.zeros_like(inputs[i]) for i in given]


@contextmanager
def _autograd_visible() -> Iterator[None]:
    """Inside a custom op the dispatcher hides autograd; the reference's gradient needs it back."""
    key = torch._C.DispatchKey
    with (
        torch._C._SetExcludeDispatchKeyGuard(key.AutogradFunctionality, False),
        torch._C._SetExcludeDispatchKeyGuard(key.ADInplaceOrView, False),
    ):
        yield


def _device(inputs: list[Any]) -> torch.device:
    return next(value.device for value in inputs if isinstance(value, torch.Tensor))
