# SPDX-License-Identifier: Apache-2.0
"""Our Triton kernels, compiled for sm_80, with one instruction changed: the executor on NumPy must complain.

What it says is part of `caught`; "result" stands for what it does not see, but comes out different from the reference.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """In the kernels of an op, of all that fits `pattern`, the one at `place` becomes `replacement`."""

    name: str
    op: str
    pattern: str
    replacement: str
    caught: str
    place: int = 0

    @property
    def where(self) -> str:
        changed = f"`{self.pattern}` becomes `{self.replacement}`" if self.replacement else f"no `{self.pattern}`"
        return f"{self.op}: {changed}" + (f", at place {self.place + 1}" if self.place else "")


BARRIER = r"bar\.sync\s+0;"
BOUNDS = "bytes of global memory at byte"  # of so many bytes that a tensor has

MUTANTS = (
    Damage("one pixel too many", "blend", r"setp\.lt\.s32", "setp.le.s32", BOUNDS),
    Damage("a load without its mask", "blend", r"@%p1 ld\.global", "ld.global", BOUNDS),
    Damage("a sum in place of a product", "blend", r"fma\.rn\.f32|mul(\.rn)?\.f32", "add.rn.f32", "result"),
    Damage("a mask the wrong way round", "blend", r"@%p(\d+) st\.global", r"@!%p\1 st.global", BOUNDS),
    Damage("an address off by four", "blend", r"\[ %rd(\d+) \+ 0 \]", r"[ %rd\1 + 4 ]", "result", 2),
    Damage("a sum over warps that does not wait for them", "blend", BARRIER, "", "race in shared memory"),
    Damage("a difference in place of a sum", "blend", r"add(\.rn)?\.f64", "sub.f64", "result"),
    Damage("elements of twice their size", "blend", r"(mad\.wide\.s32 .*), 4, ", r"\1, 8, ", BOUNDS),
    Damage("the thread in place of the block", "blend", r"%ctaid\.x", "%tid.x", BOUNDS),
    Damage(
        "another operation of RandAugment", "augment", r"brx\.idx\s+(%r\d+)", r"xor.b32 \1, \1, 1; brx.idx \1", "result"
    ),
    Damage("the greater parent wins", "component", r"(atom\.global\.gpu\.relaxed)\.min", r"\1.max", "result"),
    Damage("a missing barrier", "component", BARRIER, "", "race in shared memory", 1),
    Damage("columns change places", "covariance", r"(mma\.sync[^{]*)\{([^,]*),([^}]*)\}", r"\1{\3,\2}", "result"),
    Damage("a missing barrier", "hog", BARRIER, "", "race in shared memory", 1),
    Damage(
        "tiles are used before they have arrived",
        "mahalanobis",
        r"(cp\.async\.wait_group)\s+[1-9]",
        r"\1 9",
        "reads shared memory that nobody has written",
    ),
    Damage("a missing barrier", "mahalanobis", BARRIER, "", "race in shared memory", 1),
    Damage("a tile that is not transposed", "mscm", r"(ldmatrix\S*)\.trans", r"\1", "result"),
    Damage("a missing barrier", "paste", BARRIER, "", "race in shared memory", 1),
    Damage("the lower half of a product in Philox", "perlin", r"mul\.hi\.u32", "mul.lo.u32", "result"),
)
