# SPDX-License-Identifier: Apache-2.0
"""What the machine code of a kernel for NVIDIA GPUs holds, counted by the disassembler that comes with Triton."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import triton

_DISASSEMBLER = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "nvdisasm"
_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)", re.MULTILINE)
_LOADS, _STORES = ("LDG", "LDGSTS", "LD"), ("STG", "ST")
_LOCAL = ("LDL", "STL")


@cache
def count(cubin: bytes) -> dict[str, Any]:
    """Instructions, and among them the loads and stores of global memory by width in bits, and the kinds of MMA.

    Each is counted once, wherever it stands: in a loop, behind a branch or neither.
    """
    mnemonics = _mnemonics(cubin)
    return {
        "instructions": len(mnemonics),
        "loads": _widths(mnemonics, _LOADS),
        "stores": _widths(mnemonics, _STORES),
        "local": sum(_base(mnemonic) in _LOCAL for mnemonic in mnemonics),
        "atomics": sum(_base(mnemonic) in ("ATOM", "ATOMG", "RED", "REDG") for mnemonic in mnemonics),
        "mma": sorted({_kind(mnemonic) for mnemonic in mnemonics if _base(mnemonic).endswith("MMA")}),
    }


def mean_width(widths: dict[str, int]) -> float:
    """Bits per instruction."""
    return sum(int(width) * number for width, number in widths.items()) / max(sum(widths.values()), 1)


def _mnemonics(cubin: bytes) -> list[str]:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run([_DISASSEMBLER, "-c", file.name], check=True, text=True, capture_output=True)
    return _INSTRUCTION.findall(done.stdout)


def _base(mnemonic: str) -> str:
    return mnemonic.partition(".")[0]


def _widths(mnemonics: list[str], bases: tuple[str, ...]) -> dict[str, int]:
    return dict(sorted(Counter(str(_width(m)) for m in mnemonics if _base(m) in bases).items()))


def _width(mnemonic: str) -> int:
    """Bits per thread: 32 where the mnemonic does not say another width."""
    for modifier in mnemonic.split(".")[1:]:
        if match := re.fullmatch(r"(?:[US]|BYPASS\.)?(8|16|64|128|256)", modifier):
            return int(match[1])
    return 32


def _kind(mnemonic: str) -> str:
    """HMMA.16816.F32.BF16 for all of its variants."""
    return ".".join(part for part in mnemonic.split(".") if part[:1].isupper() or part.isdigit() or "x" in part)
