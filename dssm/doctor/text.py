# SPDX-License-Identifier: Apache-2.0
"""Text as a terminal and a picture can show it."""

from __future__ import annotations

from PIL import ImageFont


def printable(text: str) -> str:
    """The text with a question mark for every byte of a file name that is no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int, most: int) -> list[str]:
    """Lines of at most `width` pixels, broken between words or within long ones, `most` of them."""
    lines, line = [], ""
    for word in text.split():
        whole = f"{line} {word}".strip()
        if font.getlength(whole) <= width:
            line = whole
            continue
        if line:
            lines.append(line)
        while font.getlength(word) > width:
            fits = next(n for n in range(len(word), 0, -1) if n == 1 or font.getlength(word[:n]) <= width)
            lines.append(word[:fits])
            word = word[fits:]
        line = word
    lines += [line] if line else []
    return lines if len(lines) <= most else [*lines[: most - 1], lines[most - 1].rstrip() + " …"]
