# SPDX-License-Identifier: Apache-2.0
"""Runs the code blocks of the pages, in order, a folder per page: python docs/run.py [PAGE ...].

What a block prints, and the files it makes, stay in docs/made/PAGE, where the site takes them from. `python` and `bash`
blocks run; one with the caption `Not run: REASON` does not, and its reason stands on the page.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from dssm import files
from dssm.data import discover
from dssm.settings import PRESETS

DOCS = Path(__file__).parent
_FENCE = re.compile(r"```(?:\{code-block\} )?(python|bash)\s*$")
_CAPTION = re.compile(r":caption: Not run: (.+)$")
# How-to pages that train do so on small images, for one pass over them, so that all pages run in minutes.
SHORT = {"epochs": 1, "pixels": 64 * 64}
_CUT = f"from dssm.settings import PRESETS\nfor changes in PRESETS.values(): changes.update({SHORT})\n"


@dataclass(frozen=True)
class Block:
    """One fenced block: the line of its fence, its code, and why it is not run, if it is not."""

    page: Path
    line: int
    language: str
    code: str
    reason: str | None = None


class BlockError(Exception):
    """A block failed; says which, and what it said."""


def pages() -> list[Path]:
    """All pages that have blocks."""
    return [page for page in sorted(DOCS.rglob("*.md")) if "made" not in page.parts and blocks(page)]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that are code."""
    found, lines = [], iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if fence := _FENCE.match(line):
            content = [text for _, text in _until_closed(lines)]
            caption = _CAPTION.match(content[0]) if content else None
            found.append(Block(page, number, fence[1], "\n".join(content) + "\n", caption and caption[1]))
    return found


def _until_closed(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        if line.rstrip() == "```":
            return
        yield number, line


def run(page: Path, folder: Path, commands: Path) -> dict[int, str]:
    """Run the blocks of a page in `folder`, `commands` first in PATH: what each printed, by its line.

    Blocks of Python share their names. Raises BlockError for the first that fails.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    outputs = {}
    with _inside(folder):
        for block in blocks(page):
            if block.reason is None:
                printed = _python(block, names) if block.language == "python" else _bash(block, commands)
                outputs[block.line] = printed.replace(f"{folder.resolve()}{os.sep}", "")
    return outputs


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _python(block: Block, names: dict[str, Any]) -> str:
    printed = io.StringIO()
    # As many empty lines before it as there are on the page: a traceback names the line of the page.
    code = compile("\n" * block.line + block.code, str(block.page), "exec")
    try:
        with contextlib.redirect_stdout(printed):
            exec(code, names)
    except BaseException as error:
        raise BlockError(f"{block.page}, line {block.line}: {type(error).__name__}: {error}") from error
    return printed.getvalue()


def _bash(block: Block, commands: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        env=os.environ | {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BlockError(f"{block.page}, line {block.line}: status {done.returncode}\n{done.stdout}{done.stderr}")
    said = [line for line in done.stderr.splitlines(keepends=True) if line.startswith("dssm: ")]  # and no progress bar
    return "".join(said) + done.stdout


def write_commands(folder: Path, *, short: bool) -> Path:
    """`dssm` and `python` as the pages mean them: those of this interpreter."""
    folder.mkdir(parents=True)
    root = f"import sys; sys.path.insert(0, {str(DOCS.parent)!r})\n"
    start = f"{root}{_CUT if short else ''}from dssm.cli import main\nmain()\n"
    scripts = {"dssm": f"#!{sys.executable}\n{start}", "python": f'#!/bin/sh\nexec {sys.executable} "$@"\n'}
    for name, text in scripts.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def lay_out(folder: Path, commands: Path) -> None:
    """What the how-to pages start from: parts/good, parts/new, the same as a data set with a test, and a model of them.

    The parts are photographs of solar cells, out of the package elpv-dataset.
    """
    cells = discover("elpv")
    for place, kind, samples, count in (
        ("parts/good", "good", cells.train, 30),
        ("parts/new", "certain", cells.test, 6),
        ("parts/new", "good", cells.test, 6),
        ("tested/train/good", "good", cells.train, 30),
        ("tested/test/good", "good", cells.test, 12),
        ("tested/test/broken", "certain", cells.test, 12),
    ):
        (folder / place).mkdir(parents=True, exist_ok=True)
        chosen = [sample.path for sample in samples if sample.kind == kind]
        for path in (chosen[i * len(chosen) // count] for i in range(count)):
            Image.open(path).resize((96, 96)).save(folder / place / path.name)
    # PaDiM: a model that is worth something after seconds.
    with _inside(folder):
        train = "dssm train parts/good --method padim --size 96 --set holdout=0.2 --out runs/parts"
        _bash(Block(Path("parts"), 0, "bash", train), commands)


def main(wanted: list[str]) -> None:
    """Run pages and keep what they print and make; with no names, all pages."""
    made = DOCS / "made"
    with tempfile.TemporaryDirectory() as scratch:
        whole, short = (write_commands(Path(scratch, name), short=name == "short") for name in ("whole", "short"))
        start = Path(scratch, "start")
        lay_out(start, short)
        for page in pages():
            name = page.relative_to(DOCS).with_suffix("")
            if wanted and str(name) not in wanted:
                continue
            shutil.rmtree(made / name, ignore_errors=True)
            began = time.perf_counter()
            if is_guide(page):
                shutil.copytree(start, made / name)
            else:
                (made / name).mkdir(parents=True)
            with shortened() if is_guide(page) else contextlib.nullcontext():
                outputs = run(page, made / name, short if is_guide(page) else whole)
            files.write_json(made / name / "outputs.json", outputs)
            left_out = [block for block in blocks(page) if block.reason]
            print(f"{name}: {len(outputs)} blocks ran in {time.perf_counter() - began:.0f} s, {len(left_out)} not run")
            for block in left_out:
                print(f"  line {block.line}: {block.reason}")


@contextlib.contextmanager
def shortened() -> Iterator[None]:
    """Blocks of Python train as briefly as those of bash do."""
    before = {name: dict(changes) for name, changes in PRESETS.items()}
    try:
        for changes in PRESETS.values():
            changes.update(SHORT)
        yield
    finally:
        for name, changes in before.items():
            PRESETS[name].clear()
            PRESETS[name].update(changes)


def is_guide(page: Path) -> bool:
    """Whether a page starts from what `lay_out` makes."""
    return page.parent.name == "howto"


if __name__ == "__main__":
    main(sys.argv[1:])
