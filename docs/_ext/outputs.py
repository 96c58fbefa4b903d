# SPDX-License-Identifier: Apache-2.0
"""Shows below each code block what it printed, as docs/run.py kept it, and turns links out of the docs into text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_SHOWN = 60  # lines of an output


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _complete)
    return {"parallel_read_safe": True}


def _complete(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = without_outside_links(source[0])
    if not Path(app.srcdir, "made").exists():
        raise SystemExit("docs/made is missing: python docs/run.py makes it, before the site is built")
    kept = Path(app.srcdir, "made", page, "outputs.json")
    if kept.exists():
        source[0] = with_outputs(source[0], json.loads(kept.read_text(encoding="utf-8")))


def with_outputs(page: str, outputs: dict[str, str]) -> str:
    """The page, each output behind the fence that closes its block; a key is the line of the fence that opens it."""
    lines, wanted = [], ""
    for number, line in enumerate(page.splitlines(), 1):
        lines.append(line)
        if str(number) in outputs:
            wanted = outputs[str(number)].rstrip()
        elif line.rstrip() == "```" and wanted:
            shown = wanted.splitlines()[:_SHOWN]
            lines += ["", "`````{code-block} text", ":class: output", "", *shown, "`````"]  # it may hold fences itself
            wanted = ""
    return "\n".join(lines) + "\n"


def without_outside_links(page: str) -> str:
    """Pages that are read on the code host too link to files that are no part of the site: those become paths."""
    return re.sub(r"(?<!!)\[[^\]]+\]\(\.\./([^)#]+)\)", r"`\1`", page)
