# SPDX-License-Identifier: Apache-2.0
"""Loops, branches, masks and barriers: which thread does what, and when."""

from __future__ import annotations

import numpy as np

from .snippets import EXCHANGE, STORE, THREAD, N, execute


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


def test_shared_memory_belongs_to_a_block() -> None:
    out = np.zeros(3 * 64, np.uint32)
    own = "mov.u32 %r9, %ctaid.x; mad.lo.u32 %r1, %r9, 64, %r1; and.b32 %r8, %r1, 63; shl.b32 %r2, %r8, 2;"
    execute(own + EXCHANGE.replace("shl.b32 %r2, %r1, 2;", ""), out, threads=64, grid=3, shared=256)
    np.testing.assert_array_equal(out.reshape(3, 64), np.arange(3 * 64).reshape(3, 64)[:, ::-1])


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
