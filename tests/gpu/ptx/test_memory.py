# SPDX-License-Identifier: Apache-2.0
"""What a kernel must not do in memory, and how much of it is told."""

from __future__ import annotations

import numpy as np
import pytest

from .memory import KernelError
from .parse import parse
from .run import pointer, run
from .snippets import EXCHANGE, STORE, N, execute

SWAP = EXCHANGE.replace("252", "124")  # among 32 threads, not 64


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
