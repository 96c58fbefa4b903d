# SPDX-License-Identifier: Apache-2.0
"""From the text of a PTX module with one kernel to its parameters, registers and instructions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np


class UnknownPtxError(NotImplementedError):
    """The executor does not know this piece of PTX, which is part of the message."""


@dataclass(frozen=True)
class Instruction:
    """`@!%p1 ld.global.v2.b32 {%r1, %r2}, [%rd1+8];`"""

    text: str
    source: str  # file:line that it was compiled from, or ""
    guard: str | None  # %p1
    negated: bool  # the guard has a !
    opcode: str  # ld
    modifiers: tuple[str, ...]  # global, v2, b32
    operands: tuple[str | tuple[str, ...], ...]  # ("%r1", "%r2"), "[%rd1+8]"

    @property
    def type(self) -> str:
        return self.modifiers[-1]

    def __str__(self) -> str:
        return f"{self.text}; ({self.source})" if self.source else f"{self.text};"


@dataclass
class Kernel:
    name: str
    threads: int  # of a block
    parameters: list[tuple[str, str]]  # name and type, in order
    registers: dict[str, str] = field(default_factory=dict)  # name, or prefix of numbered names, and type
    constants: dict[str, np.ndarray] = field(default_factory=dict)  # tables of bytes in global memory, by name
    local: dict[str, int] = field(default_factory=dict)  # bytes of every thread's own memory, by name
    labels: dict[str, int] = field(default_factory=dict)
    targets: dict[str, list[str]] = field(default_factory=dict)  # the labels of a branch with an index, by name
    instructions: list[Instruction] = field(default_factory=list)


def parse(text: str) -> Kernel:
    """The kernel of a module. Calls and functions besides the kernel are unknown to it."""
    files = dict(re.findall(r'^\s*\.file\s+(\d+)\s+"(?:[^"]*/)?([^"]*)"', text, re.MULTILINE))
    text = re.sub(r"//[^\n]*", "", text)
    entry = re.search(r"\.entry\s+([\w$]+)\s*\((.*?)\)([^{]*)\{", text, re.DOTALL)
    if entry is None:
        raise UnknownPtxError("no .entry")
    name, parameters, directives = entry.groups()
    threads = re.search(r"\.(?:req|max)ntid\s+(\d+)", directives)
    if threads is None:
        raise UnknownPtxError(f"{name} does not say how many threads it has: {directives.strip()}")
    kernel = Kernel(name, int(threads[1]), re.findall(r"\.param\s+\.(\w+)[^,]*?([\w$]+)\s*(?:,|$)", parameters))
    kernel.constants = _constants(text[: entry.start()])
    _body(kernel, _block(text, entry.end()), files)
    return kernel


def _constants(header: str) -> dict[str, np.ndarray]:
    tables = re.findall(r"\.(?:global|const)\s[^;]*?\.(\w+)\s+([\w$]+)\[(\d+)\]\s*=\s*\{([^}]*)\}", header)
    unknown = [kind for kind, *_ in tables if kind not in ("b8", "u8")]
    if unknown:
        raise UnknownPtxError(f"a table of {unknown[0]}")
    return {
        name: np.array([int(value) & 255 for value in values.split(",")], np.uint8) for _, name, _, values in tables
    }


def _block(text: str, start: int) -> str:
    """What stands between the brace before `start` and its partner."""
    depth = 1
    for match in re.finditer(r"[{}]", text[start:]):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return text[start : start + match.start()]
    raise UnknownPtxError("a brace is never closed")


def _body(kernel: Kernel, body: str, files: dict[str, str]) -> None:
    source, pending, latest = "", "", ""
    for raw in body.splitlines():
        line = raw.strip()
        if label := re.match(r"([\w$]+):(?!:)", line):
            latest = label[1]
            kernel.labels[latest] = len(kernel.instructions)
            line = line[label.end() :].strip()
        if location := re.match(r"\.loc\s+(\d+)\s+(\d+)", line):
            # Line 0 is code that belongs to no line; the last one known says more.
            source = f"{files.get(location[1], '?')}:{location[2]}" if location[2] != "0" else source
        elif re.match(r"\.(pragma|section|file)\b", line):
            continue
        else:
            *statements, pending = f"{pending} {line}".split(";")
            for statement in statements:
                if listed := re.match(r"\s*\.branchtargets\s+(.*)", statement, re.DOTALL):
                    kernel.targets[latest] = [name.strip() for name in listed[1].split(",")]
                    continue
                _statement(kernel, re.sub(r"^[\s{}]+", "", statement).strip(), source)  # braces open or close a scope


def _statement(kernel: Kernel, text: str, source: str) -> None:
    if declared := re.match(r"\.reg\s+\.(\w+)\s+(.*)", text):
        for register in declared[2].split(","):
            kernel.registers[re.sub(r"<\d+>", "", register).strip()] = declared[1]
    elif declared := re.match(r"\.local\b.*?([\w$]+)\[(\d+)\]", text):
        kernel.local[declared[1]] = int(declared[2])
    elif text:
        found = re.fullmatch(r"(?:@(!?)([%\w]+)\s+)?([a-z]\w*)((?:[.:]+\w+)*)\s*(.*)", text, re.DOTALL)
        if found is None:
            raise UnknownPtxError(text)
        negated, guard, opcode, modifiers, operands = found.groups()
        kernel.instructions.append(
            Instruction(
                " ".join(text.split()),
                source,
                guard,
                bool(negated),
                opcode,
                tuple(re.findall(r"\w+", modifiers)),
                _operands(operands),
            )
        )


def _operands(text: str) -> tuple[str | tuple[str, ...], ...]:
    """Split at the commas outside of braces; what stands in braces becomes a tuple."""
    found = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s][^,]*", text)
    return tuple(
        tuple(part.strip() for part in operand[1:-1].split(",")) if operand.startswith("{") else operand.strip()
        for operand in found
    )
