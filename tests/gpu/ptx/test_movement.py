# SPDX-License-Identifier: Apache-2.0
"""Between registers and memories: moves, loads, atomic updates, asynchronous copies."""

from __future__ import annotations

import numpy as np
import pytest

from .memory import KernelError
from .parse import parse
from .run import pointer, run
from .snippets import THREAD, N, execute

rng = np.random.default_rng(1)


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
