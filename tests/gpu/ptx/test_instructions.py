# SPDX-License-Identifier: Apache-2.0
"""What the executor does not know, it says so."""

from __future__ import annotations

import numpy as np
import pytest

from .parse import UnknownPtxError
from .snippets import execute


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
