# SPDX-License-Identifier: Apache-2.0
"""Snippets of PTX written by hand, to execute: what tests of the executor share."""

from __future__ import annotations

import numpy as np

from .parse import Kernel, parse
from .run import pointer, run

N = 32  # threads: a warp
THREAD = np.arange(N)
_rng = np.random.default_rng(0)
STORE = "mad.wide.u32 %rd2, %r1, 4, %rd1; st.global.b32 [%rd2], %r1;"  # its number, in the place of each thread
EXCHANGE = """
    shl.b32 %r2, %r1, 2;
    st.shared.b32 [%r2], %r1;
    bar.sync 0;
    xor.b32 %r3, %r2, 252;
    ld.shared.b32 %r4, [%r3];
    mad.wide.u32 %rd2, %r1, 4, %rd1;
    st.global.b32 [%rd2], %r4;
"""  # the number of another of 64 threads, the first that of the last


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
    """Run the body on these arrays, in place."""
    run(kernel(body, len(arrays), threads), grid, [pointer(array) for array in arrays], shared, endless=1000)


_REGISTERS = {1: "%rs", 2: "%rs", 4: "%r", 8: "%rd"}


def calculate(text: str, kind: type, *inputs: np.ndarray) -> np.ndarray:
    """What an instruction `op D, A, B, C` makes of the inputs, which are as many as the threads."""
    out = np.zeros(N, kind)
    lines = []
    names = dict(zip("ABC", inputs, strict=False))
    registers = {}
    for number, (name, array) in enumerate({**names, "D": out}.items()):
        registers[name] = f"{_REGISTERS[array.itemsize]}{number + 5}"
        lines.append(f"mad.wide.u32 %rd{number + 10}, %r1, {array.itemsize}, %rd{number + 1};")
        if name != "D":
            lines.append(f"ld.global.b{8 * array.itemsize} {registers[name]}, [%rd{number + 10}];")
    words = " ".join(registers.get(word, word) for word in text.replace(",", " , ").split())
    lines.append(f"{words};\nst.global.b{8 * out.itemsize} [%rd{len(inputs) + 10}], {registers['D']};")
    execute("\n".join(lines), *inputs, out)
    return out


def integers(kind: type) -> np.ndarray:
    limits = np.iinfo(kind)
    values = _rng.integers(limits.min, limits.max, N, kind, endpoint=True)
    values[:4] = limits.min, limits.max, 0, 1
    return values


def reals(kind: type) -> np.ndarray:
    values = _rng.standard_normal(N).astype(kind) * 3
    values[:5] = 0, -0.0, np.inf, -np.inf, np.nan
    return values


K, J = integers(np.int32), _rng.permutation(integers(np.int32))
U, V = integers(np.uint32), _rng.permutation(integers(np.uint32))
L, M = integers(np.int64), _rng.permutation(integers(np.int64))
F, G = reals(np.float32), _rng.permutation(reals(np.float32))
D, E = reals(np.float64), _rng.permutation(reals(np.float64))
HALF = reals(np.float16)
SMALL = _rng.integers(0, 40, N, np.uint32)
