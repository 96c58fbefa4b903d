# SPDX-License-Identifier: Apache-2.0
"""The project's docstrings, which are written to be read in a terminal, as reStructuredText for Sphinx.

A line that ends a sentence ends an item. `name: ...` is a parameter, `Returns ...` and `Raises ...` are what they say.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", _rewrite)
    app.connect("sphinx-click-process-description", _rewrite_help)
    return {"parallel_read_safe": True}


def _rewrite(_app: Sphinx, _what: str, _name: str, obj: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = restructured(lines, _parameters(obj))


def _rewrite_help(_app: Sphinx, _context: Any, lines: list[str]) -> None:
    lines[:] = with_examples(lines)


def with_examples(lines: Iterable[str]) -> list[str]:
    """What click keeps as it stands (lines that sphinx-click begins with a bar) is a block of commands."""
    found: list[str] = []
    for line in lines:
        if line.startswith("| "):
            if not found or not found[-1].startswith("   "):
                found += ["", ".. code-block:: text", ""]
            found.append(f"   {line[2:].strip()}")
        else:
            found += [""] if found and found[-1].startswith("   ") else []
            found.append(_escaped(line))
    return found


def restructured(lines: Iterable[str], parameters: Iterable[str]) -> list[str]:
    """Paragraphs first, then the fields: that is how reStructuredText wants them."""
    text, fields = [], []
    for item in _items(lines, sorted(parameters)):
        if item.startswith(">>>"):
            text += [item]  # lines of an example stay together
            continue
        field = _field(item, parameters)
        if field:
            fields.append(field)
        else:
            text += ["", _escaped(item), ""]
    return [*text, "", *fields, ""]


def _parameters(obj: Any) -> set[str]:
    try:
        return set(inspect.signature(obj).parameters)
    except (TypeError, ValueError):
        return set()


def _items(lines: Iterable[str], parameters: list[str]) -> Iterator[str]:
    """What belongs together, on one line each."""
    begun = ""
    for line in (line.strip() for line in [*lines, ""]):
        if begun and (not line or begun[-1] in ".:" or line.startswith(">>>")):
            yield from _split(begun, parameters)
            begun = ""
        if line.startswith(">>>"):
            yield re.sub(r"\s*# doctest:.*", "", line)
        else:
            begun = f"{begun} {line}".strip()


def _split(item: str, parameters: list[str]) -> list[str]:
    """Several parameters on one line, one by one."""
    if not parameters:
        return [item]
    return re.split(rf"(?<=[.;]) (?=(?:{'|'.join(map(re.escape, parameters))})(?:, \w+)*: )", item)


def _field(item: str, parameters: Iterable[str]) -> str:
    names = re.match(r"(\w+(?:, \w+)*): (.*)", item)
    if names and set(names[1].split(", ")) <= set(parameters):
        return f":param {names[1].replace(', ', ',')}: {_escaped(names[2])}"
    if found := re.match(r"Returns (.*)", item):
        return f":returns: {_escaped(found[1])}"
    if found := re.match(r"Raises (\w+) (.*)", item):
        return f":raises {found[1]}: {_escaped(found[2])}"
    return ""


def _escaped(text: str) -> str:
    """Stars, bars and underscores at the end of a word mean nothing here; what stands in backticks is code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        f"`{part}`" if part.startswith("`") else re.sub(r"([*|\\]|_(?=\W|$))", r"\\\1", part) for part in parts
    )
