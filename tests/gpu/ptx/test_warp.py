# SPDX-License-Identifier: Apache-2.0
"""What the threads of a warp do together: shuffles, votes, reductions, products of matrices."""

from __future__ import annotations

import numpy as np
import pytest

from .snippets import STORE, THREAD, N, execute

rng = np.random.default_rng(1)


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
