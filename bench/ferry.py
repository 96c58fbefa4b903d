# SPDX-License-Identifier: Apache-2.0
"""Kernels of a GPU called on tensors of the CPU: carried over as they lie in memory, and what changes carried back.

    DSSM_TEST_DEVICE=cuda python -m pytest tests/ops --backend triton

runs the tests of the ops as they are, on the GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from dssm import backends, ops

BACKENDS = ("triton", "cuda")
_LINE = 256  # bytes; addresses that agree modulo this are equally well aligned for every load


@contextmanager
def ferried(device: str, names: Sequence[str] = BACKENDS) -> Iterator[None]:
    """Inside, these backends run on tensors of the CPU too, on copies of them on `device`."""
    load = backends.load

    def loaded(op: str, backend: str) -> ModuleType | str:
        module = load(op, backend)
        return _Ferry(op, module, device) if backend in names and isinstance(module, ModuleType) else module

    order = dict.fromkeys((*backends._DEVICES["cpu"], *names))
    with patch.object(backends, "load", loaded), patch.dict(backends._DEVICES, cpu=tuple(order)):
        backends._choose.cache_clear()
        try:
            yield
        finally:
            backends._choose.cache_clear()


def carried(tensor: Tensor, device: str | torch.device) -> Tensor:
    """The tensor on another device with the same strides, alignment and what lies between its elements."""
    if tensor.numel() == 0:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
    tensor = tensor.detach()
    skip = tensor.data_ptr() % _LINE // tensor.element_size()
    span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    memory = torch.empty(skip + span, dtype=tensor.dtype, device=device)
    memory[skip:] = tensor.as_strided((span,), (1,))
    return memory.as_strided(tensor.shape, tensor.stride(), skip)


class _Ferry(ModuleType):
    """The module of an op's kernels, whose functions are called elsewhere."""

    def __init__(self, op: str, module: ModuleType, device: str) -> None:
        super().__init__(module.__name__, module.__doc__)
        self._module, self._device = module, device
        assert op in ops.__all__  # and so is registered
        schema = getattr(torch.ops.dssm, op).default._schema
        self._written = {
            op: [i for i, each in enumerate(schema.arguments) if each.alias_info and each.alias_info.is_write]
        }

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        return self._elsewhere(value, self._written.get(name, [])) if callable(value) else value

    def _elsewhere(self, function: Callable, written: list[int]) -> Callable:
        def call(*arguments: Any) -> Any:
            there = [carried(x, self._device) if isinstance(x, Tensor) else x for x in arguments]
            results = function(*there)
            for i in written:
                arguments[i].copy_(there[i])
            return _home(results)

        return call


def _home(results: Any) -> Any:
    if isinstance(results, tuple | list):
        return type(results)(_home(each) for each in results)
    return carried(results, "cpu") if isinstance(results, Tensor) else results
