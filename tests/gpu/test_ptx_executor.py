# SPDX-License-Identifier: Apache-2.0
"""The executor of PTX on snippets written by hand: every family against NumPy, and what it must find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from .ptx.memory import KernelError
from .ptx.parse import Kernel, UnknownPtxError, parse
from .ptx.run import pointer, run

N = 32  # threads: a warp
THREAD = np.arange(N)
rng = np.random.default_rng(0)


def kernel(body: str, pointers: int, threads: int = N) -> Kernel:
    """A kernel whose pointers lie in %rd1, %rd2... and whose thread has its number in %r1."""
    parameters = ", ".join(f".param .u64 .ptr .global .align 1 p{i}" for i in range(1, pointers + 1))
    loads = "\n".join(f"ld.param.b64 %rd{i}, [p{i}];" for i in range(1, pointers + 1))
    return parse(
        f"""
        .visible .entry snippet({parameters}) .reqntid {threads}
        {{
            .reg .pred %p<9>; .reg .b16 %rs<9>; .reg .b32 %r<99>; .reg .b64 %rd<99>;
            {loads}
            mov.u32 %r1, %tid.x;
            {body}
            ret;
        }}"""
    )


def execute(body: str, *arrays: np.ndarray, threads: int = N, grid: int = 1, shared: int = 0) -> None:
    run(kernel(body, len(arrays), threads), grid, [pointer(array) for array in arrays], shared, endless=1000)


REGISTERS = {1: "%rs", 2: "%rs", 4: "%r", 8: "%rd"}


def calculate(text: str, kind: type, *inputs: np.ndarray) -> np.ndarray:
    """What an instruction `op D, A, B, C` makes of the inputs, which are as many as the threads."""
    out = np.zeros(N, kind)
    lines = []
    names = dict(zip("ABC", inputs, strict=False))
    registers = {}
    for number, (name, array) in enumerate({**names, "D": out}.items()):
        registers[name] = f"{REGISTERS[array.itemsize]}{number + 5}"
        lines.append(f"mad.wide.u32 %rd{number + 10}, %r1, {array.itemsize}, %rd{number + 1};")
        if name != "D":
            lines.append(f"ld.global.b{8 * array.itemsize} {registers[name]}, [%rd{number + 10}];")
    words = " ".join(registers.get(word, word) for word in text.replace(",", " , ").split())
    lines.append(f"{words};\nst.global.b{8 * out.itemsize} [%rd{len(inputs) + 10}], {registers['D']};")
    execute("\n".join(lines), *inputs, out)
    return out


def integers(kind: type) -> np.ndarray:
    limits = np.iinfo(kind)
    values = rng.integers(limits.min, limits.max, N, kind, endpoint=True)
    values[:4] = limits.min, limits.max, 0, 1
    return values


def reals(kind: type) -> np.ndarray:
    values = rng.standard_normal(N).astype(kind) * 3
    values[:5] = 0, -0.0, np.inf, -np.inf, np.nan
    return values


K, J = integers(np.int32), rng.permutation(integers(np.int32))
U, V = integers(np.uint32), rng.permutation(integers(np.uint32))
L, M = integers(np.int64), rng.permutation(integers(np.int64))
F, G, H = reals(np.float32), rng.permutation(reals(np.float32)), rng.permutation(reals(np.float32))
D, E = reals(np.float64), rng.permutation(reals(np.float64))
HALF = reals(np.float16)
SMALL = rng.integers(0, 40, N, np.uint32)


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
        ("ex2.approx.ftz.f32 D, A", (F,), lambda: np.exp2(F)),
        ("lg2.approx.f32 D, A", (np.abs(F),), lambda: np.log2(np.abs(F).astype("f8")).astype("f4")),
        ("rcp.rn.f32 D, A", (F,), lambda: 1 / F),
        ("sqrt.rn.f64 D, A", (np.abs(D),), lambda: np.sqrt(np.abs(D))),
        ("rsqrt.approx.f32 D, A", (np.abs(F),), lambda: (1 / np.sqrt(np.abs(F).astype("f8"))).astype("f4")),
        ("tanh.approx.f32 D, A", (F,), lambda: np.tanh(F.astype("f8")).astype("f4")),
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
    values = rng.standard_normal(N)
    result = calculate(f"cvt.{rounding}.f32.f64 D, A", np.float32, values).astype(np.float64)
    past = {"rz": np.abs(result) > np.abs(values), "rm": result > values, "rp": result < values}[rounding]
    assert not past.any()
    assert (np.abs(result - values) < 2.0**-22 * np.abs(values)).all()


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


def test_a_loop_that_threads_leave_at_different_times() -> None:
    """Thread t adds t up t times, and those that are odd take another way in the loop."""
    out = np.zeros(N, np.int32)
    execute(
        """
        mov.b32 %r2, 0; mov.b32 %r3, 0;
        $again:
        setp.ge.s32 %p1, %r3, %r1;
        @%p1 bra $done;
        and.b32 %r4, %r1, 1;
        setp.ne.s32 %p2, %r4, 0;
        @%p2 bra $odd;
        add.s32 %r2, %r2, %r1;
        bra.uni $next;
        $odd:
        sub.s32 %r2, %r2, %r1;
        $next:
        add.s32 %r3, %r3, 1;
        bra $again;
        $done:
        mad.wide.u32 %rd2, %r1, 4, %rd1;
        st.global.b32 [%rd2], %r2;
        """,
        out,
    )
    np.testing.assert_array_equal(out, np.where(THREAD % 2, -1, 1) * THREAD**2)


def test_threads_go_where_their_index_says() -> None:
    out = np.zeros(N, np.int32)
    execute(
        """
        $table: .branchtargets $a, $b, $c;
        rem.u32 %r2, %r1, 3; mov.b32 %r3, 7;
        brx.idx %r2, $table;
        $a:
        mov.b32 %r3, 100;
        $b:
        add.s32 %r3, %r3, 1;
        $c:
        mad.wide.u32 %rd2, %r1, 4, %rd1;
        st.global.b32 [%rd2], %r3;
        """,
        out,
    )
    np.testing.assert_array_equal(out, np.array([101, 8, 7])[THREAD % 3])


def test_masked_lanes_keep_what_they_had() -> None:
    out = np.full(N, 7, np.int32)
    execute(
        """
        setp.lt.s32 %p1, %r1, 5;
        mov.b32 %r2, 1;
        @!%p1 mov.b32 %r2, 2;
        mad.wide.u32 %rd2, %r1, 4, %rd1;
        setp.ne.and.s32 %p2, %r1, 3, %p1;
        @%p2 st.global.b32 [%rd2], %r2;
        @%p1 exit;
        setp.gt.s32 %p3|%p4, %r1, 30;
        @%p3 st.global.b32 [%rd2], %r2;
        """,
        out,
    )
    np.testing.assert_array_equal(out, np.select([THREAD == 3, THREAD < 5, THREAD == 31], [7, 1, 2], 7))


def test_values_are_put_together_and_taken_apart() -> None:
    words = rng.integers(0, 2**32, 4 * N, np.uint32)
    out = np.zeros(4 * N, np.uint32)
    execute(
        """
        shl.b32 %r2, %r1, 4; cvt.u64.u32 %rd9, %r2; add.s64 %rd3, %rd1, %rd9; add.s64 %rd4, %rd2, %rd9;
        ld.global.v4.b32 {%r3, %r4, %r5, %r6}, [%rd3];
        mov.b64 %rd5, {%r3, %r4};
        mov.b64 {%r7, %r8}, %rd5;
        mov.b32 {%rs1, %rs2}, %r5;
        mov.b32 %r9, {%rs2, %rs1};
        st.global.v2.b32 [%rd4], {%r8, %r7};
        st.global.v2.b32 [%rd4 + 8], {%r9, %r6};
        """,
        *(words, out),
    )
    a, b, c, d = words.reshape(N, 4).T
    np.testing.assert_array_equal(out.reshape(N, 4).T, [b, a, c >> 16 | c << 16, d])


def test_small_integers_are_loaded_with_their_sign() -> None:
    values, out = rng.integers(-128, 128, N, np.int8), np.zeros(N, np.int32)
    execute(
        """
        cvt.u64.u32 %rd4, %r1; add.s64 %rd3, %rd1, %rd4; mad.wide.u32 %rd5, %r1, 4, %rd2;
        ld.global.s8 %r2, [%rd3];
        st.global.b32 [%rd5], %r2;
        """,
        *(values, out),
    )
    np.testing.assert_array_equal(out, values)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("shfl.sync.bfly.b32 %r3, %r2, 5, 31, -1;", THREAD ^ 5),
        ("shfl.sync.down.b32 %r3, %r2, 3, 31, -1;", np.where(THREAD + 3 < N, THREAD + 3, THREAD)),
        ("shfl.sync.up.b32 %r3, %r2, 3, 0, -1;", np.where(THREAD >= 3, THREAD - 3, THREAD)),
        ("shfl.sync.idx.b32 %r3, %r2, 9, 31, 0xffffffff;", np.full(N, 9)),
        ("shfl.sync.bfly.b32 %r3|%p1, %r2, 4, 0x1807, -1;", THREAD ^ 4),  # segments of 8
    ],
)
def test_shuffles(text: str, source: np.ndarray) -> None:
    out = np.zeros(N, np.uint32)
    execute(f"mul.lo.u32 %r2, %r1, %r1; {text} mad.wide.u32 %rd2, %r1, 4, %rd1; st.global.b32 [%rd2], %r3;", out)
    np.testing.assert_array_equal(out, source**2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redux.sync.add.s32 %r3, %r1, -1;", THREAD.sum()),
        ("redux.sync.max.u32 %r3, %r1, -1;", 31),
        ("redux.sync.or.b32 %r3, %r1, -1;", 31),
        ("setp.gt.s32 %p1, %r1, 29; vote.sync.ballot.b32 %r3, %p1, -1;", 0xC0000000),
        ("setp.gt.s32 %p1, %r1, 29; vote.sync.any.pred %p2, %p1, -1; selp.b32 %r3, 1, 0, %p2;", 1),
        ("setp.gt.s32 %p1, %r1, 29; vote.sync.all.pred %p2, %p1, -1; selp.b32 %r3, 1, 0, %p2;", 0),
        ("activemask.b32 %r3;", 0xFFFFFFFF),
    ],
)
def test_what_a_warp_does_together(text: str, expected: int) -> None:
    out = np.zeros(2 * N, np.uint32)
    body = f"and.b32 %r1, %r1, 31; {text} mov.u32 %r1, %tid.x;" + STORE.replace("%r1;", "%r3;")
    execute(body, out, threads=2 * N)
    np.testing.assert_array_equal(out, np.full(2 * N, expected, np.uint32))


@pytest.mark.parametrize(
    ("name", "start", "expected", "old"),
    [
        ("add.u32", 5, 5 + 31 * 16, 5 + np.cumsum(THREAD) - THREAD),
        ("max.s32", 3, 31, np.maximum(3, np.maximum(THREAD - 1, 0))),
        ("min.u32", 9, 0, np.where(THREAD == 0, 9, 0)),
        ("or.b32", 64, 64 | 31, None),
        ("exch.b32", 77, 31, np.concatenate([[77], THREAD[:-1]])),
        ("add.f32", 0, np.float32(31 * 16).view(np.uint32), None),
    ],
)
def test_atomics_of_all_threads_on_one_place(name: str, start: int, expected: int, old: np.ndarray | None) -> None:
    place, out = np.full(1, start, np.uint32), np.zeros(N, np.uint32)
    convert = "cvt.rn.f32.u32 %r2, %r1;" if name.endswith("f32") else "mov.b32 %r2, %r1;"
    execute(
        f"""
        {convert} atom.global.gpu.acq_rel.{name} %r3, [%rd1], %r2;
        mad.wide.u32 %rd3, %r1, 4, %rd2; st.global.b32 [%rd3], %r3;
        """,
        *(place, out),
    )
    assert place[0] == expected
    if old is not None:
        np.testing.assert_array_equal(out, old)


def test_compare_and_swap_lets_one_thread_win() -> None:
    place, winners = np.full(1, 9, np.uint32), np.zeros(1, np.uint32)
    execute(
        """
        atom.global.relaxed.gpu.cas.b32 %r3, [%rd1], 9, %r1;
        setp.eq.s32 %p1, %r3, 9;
        @%p1 red.global.add.u32 [%rd2], 1;
        """,
        *(place, winners),
    )
    assert winners[0] == 1
    assert place[0] == 0  # the first


EXCHANGE = """
    shl.b32 %r2, %r1, 2;
    st.shared.b32 [%r2], %r1;
    bar.sync 0;
    xor.b32 %r3, %r2, 252;
    ld.shared.b32 %r4, [%r3];
    mad.wide.u32 %rd2, %r1, 4, %rd1;
    st.global.b32 [%rd2], %r4;
"""


def test_shared_memory_belongs_to_a_block() -> None:
    out = np.zeros(3 * 64, np.uint32)
    own = "mov.u32 %r9, %ctaid.x; mad.lo.u32 %r1, %r9, 64, %r1; and.b32 %r8, %r1, 63; shl.b32 %r2, %r8, 2;"
    execute(own + EXCHANGE.replace("shl.b32 %r2, %r1, 2;", ""), out, threads=64, grid=3, shared=256)
    np.testing.assert_array_equal(out.reshape(3, 64), np.arange(3 * 64).reshape(3, 64)[:, ::-1])


def test_asynchronous_copies_arrive_when_they_are_waited_for() -> None:
    values, out = rng.integers(0, 2**32, 4 * N, np.uint32), np.zeros(N, np.uint32)
    body = """
        shl.b32 %r2, %r1, 4; cvt.u64.u32 %rd3, %r2; add.s64 %rd4, %rd1, %rd3;
        setp.lt.s32 %p1, %r1, 9; selp.b32 %r5, 16, 0, %p1;
        cp.async.cg.shared.global [ %r2 + 0 ], [ %rd4 + 0 ], 0x10, %r5;
        cp.async.commit_group;
        cp.async.wait_group 0;
        bar.sync 0;
        ld.shared.b32 %r6, [%r2 + 8];
        mad.wide.u32 %rd5, %r1, 4, %rd2; st.global.b32 [%rd5], %r6;
    """
    execute(body, values, out, shared=512)
    np.testing.assert_array_equal(out, np.where(THREAD < 9, values[2::4], 0))
    with pytest.raises(KernelError, match="reads shared memory that nobody has written"):
        execute(body.replace("wait_group 0", "wait_group 1"), values, out, shared=512)


@pytest.mark.parametrize("transposed", [False, True])
def test_matrices_from_shared_memory(transposed: bool) -> None:
    matrices = rng.integers(0, 2**16, (4, 8, 8), np.uint16)
    out = np.zeros((N, 4), np.uint32)
    execute(
        f"""
        shl.b32 %r2, %r1, 4; cvt.u64.u32 %rd3, %r2; add.s64 %rd4, %rd1, %rd3; add.s64 %rd5, %rd2, %rd3;
        ld.global.v4.b32 {{%r3, %r4, %r5, %r6}}, [%rd4]; st.shared.v4.b32 [%r2], {{%r3, %r4, %r5, %r6}};
        bar.warp.sync 0xffffffff;
        ldmatrix.sync.aligned.m8n8.x4{".trans" * transposed}.shared.b16 {{%r3, %r4, %r5, %r6}}, [%r2];
        st.global.v4.b32 [%rd5], {{%r3, %r4, %r5, %r6}};
        """,
        *(matrices, out),
        shared=512,
    )
    wanted = matrices.swapaxes(1, 2) if transposed else matrices
    # Thread t holds two neighbours of row t // 4 of each matrix.
    np.testing.assert_array_equal(
        out.view(np.uint16).reshape(8, 4, 4, 2), wanted.reshape(4, 8, 4, 2).transpose(1, 2, 0, 3)
    )


def fragments(matrix: np.ndarray, packed: int) -> np.ndarray:
    """(16, K) -> (32, registers): as the PTX manual draws A, `packed` values in a register."""
    rows, columns = matrix.shape
    split = matrix.reshape(rows // 8, 8, columns // (4 * packed), 4, packed)
    return np.ascontiguousarray(split.transpose(1, 3, 2, 0, 4)).reshape(N, -1)


@pytest.mark.parametrize(
    ("shape", "kind", "registers"),
    [
        ((16, 8, 16), "f16", (4, 2)),
        ((16, 8, 16), "bf16", (4, 2)),
        ((16, 8, 8), "tf32", (4, 2)),
        ((16, 8, 8), "f16", (2, 1)),
    ],
)
def test_products_of_matrices(shape: tuple[int, int, int], kind: str, registers: tuple[int, int]) -> None:
    m, n, k = shape
    a, b, c = (rng.integers(-8, 8, size).astype(np.float32) for size in ((m, k), (k, n), (m, n)))
    packed = 1 if kind == "tf32" else 2

    def bits(matrix: np.ndarray) -> np.ndarray:
        values = fragments(matrix, packed)
        if kind == "f16":
            return values.astype(np.float16).view(np.uint32)
        if kind == "bf16":
            return np.ascontiguousarray((values.view(np.uint32) >> 16).astype(np.uint16)).view(np.uint32)
        return values.view(np.uint32)

    words = np.concatenate([bits(a), bits(np.ascontiguousarray(b.T)), fragments(c, 2).view(np.uint32)], 1)
    words = np.ascontiguousarray(words)
    out = np.zeros((N, 4), np.float32)
    names = [f"%r{10 + i}" for i in range(words.shape[1])]
    loads = "\n".join(f"ld.global.b32 {name}, [%rd3 + {4 * i}];" for i, name in enumerate(names))
    first, second = registers
    groups = names[:first], names[first : first + second], names[first + second :]
    operands = ", ".join(f"{{{', '.join(group)}}}" for group in groups)
    execute(
        f"""
        mad.wide.u32 %rd3, %r1, {4 * words.shape[1]}, %rd1; mad.wide.u32 %rd4, %r1, 16, %rd2;
        {loads}
        mma.sync.aligned.m{m}n{n}k{k}.row.col.f32.{kind}.{kind}.f32 {{%r2, %r3, %r4, %r5}}, {operands};
        st.global.v4.b32 [%rd4], {{%r2, %r3, %r4, %r5}};
        """,
        *(words, out),
    )
    np.testing.assert_array_equal(out, fragments(a @ b + c, 2))


def test_product_of_float64() -> None:
    a, b, c = (rng.integers(-8, 8, size).astype(np.float64) for size in ((8, 4), (4, 8), (8, 8)))
    left, right, sums = a.reshape(-1).copy(), np.ascontiguousarray(b.T).reshape(-1), c.copy()
    execute(
        """
        mad.wide.u32 %rd4, %r1, 8, %rd1; mad.wide.u32 %rd5, %r1, 8, %rd2; mad.wide.u32 %rd6, %r1, 16, %rd3;
        ld.global.b64 %rd7, [%rd4]; ld.global.b64 %rd8, [%rd5]; ld.global.v2.b64 {%rd9, %rd10}, [%rd6];
        mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%rd9, %rd10}, {%rd7}, {%rd8}, {%rd9, %rd10};
        st.global.v2.b64 [%rd6], {%rd9, %rd10};
        """,
        *(left, right, sums),
    )
    np.testing.assert_array_equal(sums, a @ b + c)


def test_tables_and_local_memory() -> None:
    out = np.zeros(N, np.uint32)
    text = """
        .global .align 4 .b8 table[8] = {1, 0, 0, 0, 255, 255, 0, 0};
        .visible .entry snippet(.param .u64 p1) .reqntid 32
        {
            .local .align 4 .b8 __local_depot0[8];
            .reg .b32 %r<9>; .reg .b64 %SP; .reg .b64 %SPL; .reg .b64 %rd<9>;
            mov.b64 %SPL, __local_depot0; cvta.local.u64 %SP, %SPL;
            mov.u32 %r1, %tid.x; st.local.b32 [%SPL+4], %r1;
            mov.b64 %rd1, table; ld.global.b32 %r2, [%rd1+4]; ld.local.b32 %r3, [%SPL+4]; add.s32 %r4, %r2, %r3;
            ld.param.b64 %rd2, [p1]; mad.wide.u32 %rd3, %r1, 4, %rd2; st.global.b32 [%rd3], %r4;
            ret;
        }"""
    run(parse(text), 1, [pointer(out)])
    np.testing.assert_array_equal(out, THREAD + 65535)


SWAP = EXCHANGE.replace("252", "124")  # among 32 threads, not 64
STORE = "mad.wide.u32 %rd2, %r1, 4, %rd1; st.global.b32 [%rd2], %r1;"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (STORE.replace("[%rd2]", "[%rd2+4]"), r"thread 31 of block 0: 4 bytes of global memory at byte 128 of the 128"),
        (STORE.replace("[%rd2]", "[%rd2+-4]"), "thread 0 of block 0: 4 bytes of global memory at byte -4"),
        (STORE.replace("%rd1;", "64;"), "outside of every tensor"),
        (STORE.replace("[%rd2]", "[%rd2+2]"), "at an odd address"),
        (STORE.replace("[%rd2]", "[%rd1]"), "store different values"),
        (SWAP.replace("bar.sync 0;", ""), "race in shared memory: .* reads what thread .* has written"),
        (SWAP.replace("124", "380"), "thread 0 of block 0: 4 bytes at 380 of 256 bytes of shared memory"),
        (SWAP.replace("xor.b32 %r3, %r2, 124", "add.u32 %r3, %r2, 128"), "shared memory that nobody has written"),
        (STORE + "xor.b32 %r3, %r1, 1; mad.wide.u32 %rd3, %r3, 4, %rd1; ld.global.b32 %r4, [%rd3];", "race in global"),
        ("setp.lt.s32 %p1, %r1, 9; @%p1 bra $a; bar.sync 0;\n $a:\n bar.sync 0;", "wait at different barriers"),
        ("$a:\n bra $a;", "no end"),
        ("setp.lt.s32 %p1, %r1, 9; @%p1 bra $a; redux.sync.add.s32 %r3, %r1, -1;\n $a:\n ret;", "do not come to it"),
        ("trap;", "ends in trap"),
    ],
)
def test_what_a_kernel_must_not_do(body: str, message: str) -> None:
    out = np.zeros(32, np.uint32)
    with pytest.raises(KernelError, match=message):
        execute(body, out, shared=256)


def test_blocks_race_too() -> None:
    """Both blocks add to the same numbers, as no atomics do."""
    out = np.zeros(N, np.uint32)
    body = "mad.wide.u32 %rd2, %r1, 4, %rd1; ld.global.b32 %r2, [%rd2]; add.u32 %r2, %r2, 1; st.global.b32 [%rd2], %r2;"
    execute(body, out)
    with pytest.raises(KernelError, match="race in global memory"):
        execute(body, out, grid=2)


def test_reading_too_late_matters_where_it_is_used() -> None:
    """All threads load a number that one of them changes: harmless, unless the others use what they have loaded."""
    change = "ld.global.b32 %r2, [%rd1]; add.u32 %r3, %r2, 1; setp.eq.s32 %p1, %r1, 0; @%p1 st.global.b32 [%rd1], %r3;"
    number, out = np.full(1, 5, np.uint32), np.zeros(64, np.uint32)
    execute(change, number, threads=64)
    assert number[0] == 6
    use = "mad.wide.u32 %rd3, %r1, 4, %rd2; st.global.b32 [%rd3], %r2;"
    execute(change.replace("@%p1", "bar.sync 0; @%p1") + use, number, out, threads=64)
    assert (out == 6).all()
    with pytest.raises(KernelError, match=r"stores what one of several threads has read.*order of warps"):
        execute(change + use, number, out, threads=64)


def test_a_barrier_makes_it_right() -> None:
    out, turned = np.zeros(64, np.uint32), np.zeros(64, np.uint32)
    execute(EXCHANGE, out, threads=64, shared=256)
    np.testing.assert_array_equal(out, 63 - np.arange(64))
    body = STORE + "bar.sync 0; xor.b32 %r3, %r1, 63; mad.wide.u32 %rd5, %r3, 4, %rd1; ld.global.b32 %r4, [%rd5];"
    execute(
        body.replace("%rd2", "%rd6") + "mad.wide.u32 %rd7, %r1, 4, %rd2; st.global.b32 [%rd7], %r4;",
        out,
        turned,
        threads=64,
    )
    np.testing.assert_array_equal(turned, 63 - np.arange(64))


def test_registers_hold_garbage_at_first() -> None:
    """So that a masked load without another value is noticed."""
    values, out = np.zeros(N, np.uint32), np.zeros(N, np.uint32)
    execute(
        """
        mad.wide.u32 %rd3, %r1, 4, %rd1; mad.wide.u32 %rd4, %r1, 4, %rd2;
        setp.lt.s32 %p1, %r1, 9; @%p1 ld.global.b32 %r2, [%rd3]; st.global.b32 [%rd4], %r2;
        """,
        *(values, out),
    )
    assert (out[:9] == 0).all()
    assert (out[9:] != 0).all()


@pytest.mark.parametrize(
    "text",
    [
        "frobnicate.b32 %r2, %r1;",
        "add.cc.u32 %r2, %r1, %r1;",
        "cvt.u32.f32 %r2, %r1;",
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r2}, {%r3}, {%r4}, {%r5};",
        "mov.b32 %r2, nothing;",
    ],
)
def test_what_is_not_known_says_so(text: str) -> None:
    with pytest.raises(UnknownPtxError, match=r"frobnicate|add\.cc|rounding|m16n8k32|nothing"):
        execute(text, np.zeros(1, np.uint32))


def test_findings_name_the_source() -> None:
    text = """
        .visible .entry snippet(.param .u64 p1) .reqntid 32
        {
            .reg .b32 %r<9>; .reg .b64 %rd<9>;
            ld.param.b64 %rd1, [p1];
            .loc 1 42 7 // blend.py:42:7
            st.global.b32 [%rd1+4096], %r1;
            ret;
        }
        .file 1 "/somewhere/blend.py"
        """
    with pytest.raises(KernelError, match=r"snippet: .*\[st.global.b32 \[%rd1\+4096\], %r1; \(blend.py:42\)\]"):
        run(parse(text), 1, [pointer(np.zeros(4, np.uint32))])
