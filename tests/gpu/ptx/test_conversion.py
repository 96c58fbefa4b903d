# SPDX-License-Identifier: Apache-2.0
"""cvt against NumPy, and its roundings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from .snippets import HALF, D, F, G, K, L, N, calculate


@pytest.mark.parametrize(
    ("text", "inputs", "expected"),
    [
        ("cvt.rn.f32.s32 D, A", (K,), lambda: K.astype("f4")),
        (
            "cvt.rzi.s32.f32 D, A",
            (F,),
            lambda: np.nan_to_num(np.trunc(F.astype("f8")), posinf=2**31 - 1, neginf=-(2**31)).astype("i4"),
        ),
        ("cvt.rni.f32.f32 D, A", (F,), lambda: np.rint(F)),
        ("cvt.f64.f32 D, A", (F,), lambda: F.astype("f8")),
        ("cvt.rn.f32.f64 D, A", (D,), lambda: D.astype("f4")),
        ("cvt.rn.f16.f32 D, A", (F,), lambda: F.astype("f2")),
        ("cvt.f32.f16 D, A", (HALF,), lambda: HALF.astype("f4")),
        ("cvt.s64.s32 D, A", (K,), lambda: K.astype("i8")),
        ("cvt.u32.u64 D, A", (L.view("u8"),), lambda: L.view("u8").astype("u4")),
        ("cvt.s32.s8 D, A", (K,), lambda: K.astype("i1").astype("i4")),
        ("cvt.sat.u8.s32 D, A", (K,), lambda: np.clip(K, 0, 255).astype("u2")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_conversions(text: str, inputs: tuple[np.ndarray, ...], expected: Callable[[], np.ndarray]) -> None:
    with np.errstate(all="ignore"):
        wanted = expected()
    np.testing.assert_array_equal(calculate(text, wanted.dtype.type, *inputs), wanted)


def test_bfloat16_rounds_to_the_nearest_even() -> None:
    values = np.array([1, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, 3.4e38, np.inf, -0.0, np.nan] * 4, np.float32)
    rounded = calculate("cvt.rn.bf16.f32 D, A", np.uint16, values)
    expected = [0x3F80, 0x3F80, 0x3F82, 0x3F81, 0x7F80, 0x7F80, 0x8000, 0x7FFF]
    assert rounded[:8].tolist() == expected
    back = calculate("cvt.f32.bf16 D, A", np.float32, rounded)
    np.testing.assert_array_equal(back.view(np.uint32)[:7] >> 16, expected[:7])


def test_conversion_to_two_halves_puts_the_first_source_above() -> None:
    packed = calculate("cvt.rn.f16x2.f32 D, A, B", np.uint32, F, G).view(np.float16).reshape(N, 2)
    np.testing.assert_array_equal(packed, np.stack([G, F], 1).astype(np.float16))


@pytest.mark.parametrize("rounding", ["rz", "rm", "rp"])
def test_directed_rounding(rounding: str) -> None:
    values = np.random.default_rng(1).standard_normal(N)
    result = calculate(f"cvt.{rounding}.f32.f64 D, A", np.float32, values).astype(np.float64)
    past = {"rz": np.abs(result) > np.abs(values), "rm": result > values, "rp": result < values}[rounding]
    assert not past.any()
    assert (np.abs(result - values) < 2.0**-22 * np.abs(values)).all()
