# SPDX-License-Identifier: Apache-2.0
"""Triton's interpreter, put right where its arithmetic is not that of a GPU, and in half of its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import triton.language as tl
from triton.runtime.interpreter import (
    GridExecutor,
    InterpretedFunction,
    InterpreterBuilder,
    TensorHandle,
    interpreter_builder,
)


@contextmanager
def faithful() -> Iterator[None]:
    """Inside, bfloat16 is cast as a GPU does, and arithmetic that overflows or makes a NaN goes on without a warning.

    The interpreter keeps a bfloat16 as the upper half of a float32: it cuts off the lower half where a GPU rounds to
    the nearest even, and takes the bits for an integer in casts from and to other types and in products of matrices.
    """
    options = replace(interpreter_builder.options, sanitize_overflow=False)  # assertions that only debugging compiles
    with (
        patch.object(interpreter_builder, "options", options),
        patch.object(InterpretedFunction, "__call__", _prepared_once(InterpretedFunction.__call__)),
        patch.object(InterpreterBuilder, "cast_impl", _cast(InterpreterBuilder.cast_impl)),
        patch.object(InterpreterBuilder, "create_dot", _dot(InterpreterBuilder.create_dot)),
        patch.object(GridExecutor, "__call__", _silent(GridExecutor.__call__)),
    ):
        yield


def widened(values: np.ndarray) -> np.ndarray:
    """The bits of bfloat16, uint16, as float32."""
    return (values.astype(np.uint32) << 16).view(np.float32)


def rounded(values: np.ndarray) -> np.ndarray:
    """float32 as the bits of the nearest bfloat16, half to even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    nearest = (bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), (bits >> 16) | 0x40, nearest).astype(np.uint16).reshape(values.shape)


def _cast(original: Callable) -> Callable:
    def cast(builder: Any, value: TensorHandle, target: Any) -> TensorHandle:
        kinds = value.dtype.scalar, target.scalar
        if kinds[0] == kinds[1] or tl.bfloat16 not in kinds:
            return original(builder, value, target)
        if kinds[0] == tl.bfloat16:
            value = TensorHandle(widened(value.data), tl.float32)
            return value if kinds[1] == tl.float32 else original(builder, value, target)
        return TensorHandle(rounded(value.data.astype(np.float32)), tl.bfloat16)

    return cast


def _dot(original: Callable) -> Callable:
    def dot(builder: Any, a: TensorHandle, b: TensorHandle, *rest: Any) -> TensorHandle:
        wide = (TensorHandle(widened(x.data), tl.float32) if x.dtype.scalar == tl.bfloat16 else x for x in (a, b))
        return original(builder, *wide, *rest)

    return dot


def _prepared_once(original: Callable) -> Callable:
    """A call of a device function, which prepares the module that it stands in for the interpreter, and that once."""
    prepared: set[int] = set()

    def call(function: Any, *arguments: Any, **options: Any) -> Any:
        module = id(function.fn.__globals__)
        if module in prepared:
            return function.rewrite()(*arguments, **options)
        prepared.add(module)
        return original(function, *arguments, **options)

    return call


def _silent(original: Callable) -> Callable:
    def call(executor: Any, *arguments: Any, **options: Any) -> None:
        with np.errstate(all="ignore"):
            original(executor, *arguments, **options)

    return call
