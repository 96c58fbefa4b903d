# SPDX-License-Identifier: Apache-2.0
"""Every instruction of arithmetic against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from .snippets import HALF, SMALL, D, E, F, G, J, K, L, M, N, U, V, calculate, execute


def exact(function: Callable, *arrays: np.ndarray) -> list:
    """Of Python's integers, which never overflow."""
    return [function(*map(int, values)) for values in zip(*arrays, strict=True)]


def low(values: list, kind: type) -> np.ndarray:
    """The bits that a type has room for."""
    bits = 8 * np.dtype(kind).itemsize
    return np.array([value % 2**bits for value in values], f"u{bits // 8}").view(kind)


@pytest.mark.parametrize(
    ("text", "inputs", "expected"),
    [
        ("add.s32 D, A, B", (K, J), lambda: K + J),
        ("sub.s64 D, A, B", (L, M), lambda: L - M),
        ("mul.lo.s32 D, A, B", (K, J), lambda: K * J),
        ("mul.hi.u32 D, A, B", (U, V), lambda: low(exact(lambda a, b: a * b >> 32, U, V), np.uint32)),
        ("mul.hi.s32 D, A, B", (K, J), lambda: low(exact(lambda a, b: a * b >> 32, K, J), np.int32)),
        (
            "mul.hi.u64 D, A, B",
            (L.view("u8"), M.view("u8")),
            lambda: low(exact(lambda a, b: a * b >> 64, L.view("u8"), M.view("u8")), np.uint64),
        ),
        ("mul.wide.u32 D, A, B", (U, V), lambda: U.astype("u8") * V),
        ("mul.wide.s32 D, A, B", (K, J), lambda: K.astype("i8") * J),
        ("mad.lo.s32 D, A, B, C", (K, J, K), lambda: K * J + K),
        ("mad.wide.s32 D, A, B, C", (K, J, L), lambda: K.astype("i8") * J + L),
        ("div.s32 D, A, 7", (K,), lambda: low(exact(lambda a: int(a / 7), K), np.int32)),
        ("div.u32 D, A, 3", (U,), lambda: U // np.uint32(3)),
        ("div.s64 D, A, -3", (L,), lambda: low(exact(lambda a: -(abs(a) // 3) * (1 if a > 0 else -1), L), np.int64)),
        ("rem.s32 D, A, 7", (K,), lambda: np.fmod(K, np.int32(7))),
        ("rem.u64 D, A, 10", (L.view("u8"),), lambda: L.view("u8") % np.uint64(10)),
        ("min.s32 D, A, B", (K, J), lambda: np.minimum(K, J)),
        ("max.u32 D, A, B", (U, V), lambda: np.maximum(U, V)),
        ("abs.s32 D, A", (K,), lambda: np.abs(K)),
        ("neg.s32 D, A", (K,), lambda: -K),
        ("and.b32 D, A, B", (U, V), lambda: U & V),
        ("or.b64 D, A, B", (L, M), lambda: L | M),
        ("xor.b32 D, A, B", (U, V), lambda: U ^ V),
        ("not.b32 D, A", (U,), lambda: ~U),
        ("lop3.b32 D, A, B, C, 0xE8", (U, V, K.view("u4")), lambda: U & V | U & K.view("u4") | V & K.view("u4")),
        ("shl.b32 D, A, B", (U, SMALL), lambda: low(exact(lambda a, b: a << b, U, SMALL), np.uint32)),
        ("shr.u32 D, A, B", (U, SMALL), lambda: low(exact(lambda a, b: a >> b, U, SMALL), np.uint32)),
        ("shr.s32 D, A, B", (K, SMALL), lambda: low(exact(lambda a, b: a >> b, K, SMALL), np.int32)),
        ("shf.l.wrap.b32 D, A, A, 5", (U,), lambda: U << 5 | U >> 27),
        ("shf.r.clamp.b32 D, A, B, 40", (U, V), lambda: V),
        ("bfe.u32 D, A, 5, 9", (U,), lambda: U >> 5 & 511),
        ("bfe.s32 D, A, 8, 8", (K,), lambda: (K >> 8).astype(np.int8).astype(np.int32)),
        ("bfi.b32 D, A, B, 8, 16", (U, V), lambda: V & 0xFF0000FF | (U & 0xFFFF) << 8),
        ("prmt.b32 D, A, B, 0x5410", (U, V), lambda: U & 0xFFFF | V << 16),
        ("prmt.b32 D, A, 0, 0x8880", (U,), lambda: np.where(U & 128, 0xFFFFFF00, 0).astype("u4") | U & 255),
        ("popc.b32 D, A", (U,), lambda: np.array(exact(lambda a: a.bit_count(), U), np.uint32)),
        ("clz.b32 D, A", (U,), lambda: np.array(exact(lambda a: 32 - a.bit_length(), U), np.uint32)),
        ("brev.b32 D, A", (U,), lambda: np.array(exact(lambda a: int(f"{a:032b}"[::-1], 2), U), np.uint32)),
        ("bfind.u32 D, A", (U,), lambda: low(exact(lambda a: a.bit_length() - 1, U), np.uint32)),
        ("add.rn.f32 D, A, B", (F, G), lambda: F + G),
        ("sub.f64 D, A, B", (D, E), lambda: D - E),
        ("mul.f32 D, A, B", (F, G), lambda: F * G),
        ("div.full.f32 D, A, B", (F, G), lambda: F / G),
        ("fma.rn.f64 D, A, B, 0d0000000000000000", (D, E), lambda: D * E + 0.0),
        ("min.f32 D, A, B", (F, G), lambda: np.fmin(F, G)),
        ("max.NaN.f32 D, A, B", (F, G), lambda: np.maximum(F, G)),
        ("neg.f32 D, A", (F,), lambda: -F),
        ("abs.f16 D, A", (HALF,), lambda: np.abs(HALF)),
        ("mul.f16 D, A, A", (HALF,), lambda: HALF * HALF),
        ("copysign.f32 D, A, B", (F, G), lambda: np.copysign(G, F)),
        ("add.f16x2 D, A, A", (U,), lambda: (U.view("f2") + U.view("f2")).view("u4")),
        ("ex2.approx.ftz.f32 D, A", (F,), lambda: np.exp2(F.astype("f8")).astype("f4")),
        ("lg2.approx.f32 D, A", (np.abs(F),), lambda: np.log2(np.abs(F).astype("f8")).astype("f4")),
        ("rcp.rn.f32 D, A", (F,), lambda: 1 / F),
        ("sqrt.rn.f64 D, A", (np.abs(D),), lambda: np.sqrt(np.abs(D))),
        ("rsqrt.approx.f32 D, A", (np.abs(F),), lambda: (1 / np.sqrt(np.abs(F).astype("f8"))).astype("f4")),
        ("tanh.approx.f32 D, A", (F,), lambda: np.tanh(F.astype("f8")).astype("f4")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arithmetic(text: str, inputs: tuple[np.ndarray, ...], expected: Callable[[], np.ndarray]) -> None:
    with np.errstate(all="ignore"):
        wanted = expected()
    np.testing.assert_array_equal(calculate(text, wanted.dtype.type, *inputs), wanted)


def test_fma_rounds_once() -> None:
    """1 + 2^-23 squared has a bit at 2^-46, and the sum is a tie of float32 but for that bit."""
    a = np.full(N, 1 + 2.0**-23, np.float32)
    c = np.full(N, 2.0**24, np.float32)
    assert (calculate("fma.rn.f32 D, A, A, C".replace("C", "B"), np.float32, a, c) == 2.0**24 + 2).all()
    assert (calculate("fma.rn.f32 D, A, B, C", np.float32, a, -a, a * a) != 0).all()


@pytest.mark.parametrize("comparison", ["eq", "ne", "lt", "le", "gt", "ge", "ltu", "equ", "neu", "num", "nan"])
def test_comparisons_with_what_is_no_number(comparison: str) -> None:
    out = np.zeros(N, np.int32)
    execute(
        f"""
        mad.wide.u32 %rd11, %r1, 4, %rd1; mad.wide.u32 %rd12, %r1, 4, %rd2; mad.wide.u32 %rd13, %r1, 4, %rd3;
        ld.global.b32 %r2, [%rd11]; ld.global.b32 %r3, [%rd12];
        setp.{comparison}.f32 %p1, %r2, %r3;
        selp.b32 %r4, 5, 6, %p1;
        st.global.b32 [%rd13], %r4;
        """,
        *(F, G, out),
    )
    nan = np.isnan(F) | np.isnan(G)
    wanted = {
        **{"eq": F == G, "ne": (F != G) & ~nan, "lt": F < G, "le": F <= G, "gt": F > G, "ge": F >= G},
        **{"ltu": (F < G) | nan, "equ": (F == G) | nan, "neu": (F != G) | nan, "num": ~nan, "nan": nan},
    }[comparison]
    np.testing.assert_array_equal(out, np.where(wanted, 5, 6))
