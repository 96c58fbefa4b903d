# SPDX-License-Identifier: Apache-2.0
"""The contact sheet: typical images, then a section per finding with the images that it is about."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from dssm.data import read
from dssm.doctor.examine import Examination
from dssm.doctor.finding import Finding, Mark
from dssm.doctor.text import printable, wrapped
from dssm.errors import InputError
from dssm.picture import Colour

COLUMNS, SHOWN = 6, 12  # images in a row, and of one finding
CELL, MARGIN, GAP = 190, 24, 10
INK, FAINT, PAPER, EMPTY = (28, 28, 30), (105, 105, 110), (255, 255, 255), (236, 236, 238)
COLOURS: dict[str, Colour] = {
    "problem": (196, 30, 58),
    "warning": (205, 120, 0),
    "note": (60, 110, 180),
    "typical": (150, 150, 155),
}
TITLE, HEADING, TEXT, SMALL = 24, 16, 14, 12
LINE = 1.3  # distance of lines, in sizes of the font
REASON = 2  # lines below a file's name


def contact_sheet(examination: Examination) -> Image.Image:
    """Typical images, then the marked ones of every finding, at most 12 each, with what is odd about them."""
    good = [look for look in examination.looks if look.training] or list(examination.looks)
    spread = [good[i * len(good) // COLUMNS] for i in range(COLUMNS)] if len(good) > COLUMNS else good
    sections = [_Section(finding.level, finding, finding.marks) for finding in examination.findings if finding.marks]
    if spread:
        marks = tuple(Mark(look.path, f"{look.role}, {look.width}x{look.height}") for look in spread)
        sections.insert(0, _Section("typical", None, marks))
    width = 2 * MARGIN + COLUMNS * CELL + (COLUMNS - 1) * GAP
    shape = _shape(examination)
    font = ImageFont.load_default(TEXT)
    counts = "; ".join(f"{name} {count:,}" for name, count in examination.roles.items())
    facts = wrapped(printable(counts), font, width - 2 * MARGIN, 2)
    top = MARGIN + round(LINE * TITLE + LINE * TEXT * len(facts)) + 2 * GAP
    page = Image.new("RGB", (width, top + sum(section.height(shape) for section in sections) + MARGIN), PAPER)
    draw = ImageDraw.Draw(page)
    title = f"{printable(examination.collection.name)}: {len(examination.looks):,} images"
    below = _lines(draw, MARGIN, MARGIN, [title], TITLE, INK)
    _lines(draw, MARGIN, below, facts, TEXT, FAINT)
    for section in sections:
        section.draw(page, draw, top, shape, examination)
        top += section.height(shape)
    return page


class _Section:
    """A heading in the colour of its level, and rows of images framed in it."""

    def __init__(self, level: str, finding: Finding | None, marks: Sequence[Mark]) -> None:
        self.level, self.marks = level, marks[:SHOWN]
        width = COLUMNS * CELL + (COLUMNS - 1) * GAP
        heading = "typical good images" if finding is None else f"{level.upper()}: {finding.what}"
        more = f" (the first {SHOWN} of {len(marks):,} are shown)" if len(marks) > SHOWN else ""
        self.heading = wrapped(heading + more, ImageFont.load_default(HEADING), width, 3)
        self.todo = wrapped(finding.todo, ImageFont.load_default(TEXT), width, 2) if finding else []

    def height(self, shape: int) -> int:
        return self._top() + math.ceil(len(self.marks) / COLUMNS) * _step(shape) + GAP

    def _top(self) -> int:
        return round(LINE * (HEADING * len(self.heading) + TEXT * len(self.todo))) + GAP

    def draw(
        self, page: Image.Image, draw: ImageDraw.ImageDraw, top: int, shape: int, examination: Examination
    ) -> None:
        colour = COLOURS[self.level]
        y = _lines(draw, MARGIN, top, self.heading, HEADING, colour)
        _lines(draw, MARGIN, y, self.todo, TEXT, FAINT)
        top += self._top()
        for i, mark in enumerate(self.marks):
            x, y = MARGIN + i % COLUMNS * (CELL + GAP), top + i // COLUMNS * _step(shape)
            _framed(page, draw, mark, x, y, shape, colour)
            font = ImageFont.load_default(SMALL)
            name = _shortened(printable(examination.name(mark.path)), font)
            y = _lines(draw, x, y + shape + 4, [name], SMALL, INK)
            _lines(draw, x, y, wrapped(printable(mark.why), font, CELL, REASON), SMALL, FAINT)


def _shape(examination: Examination) -> int:
    """The height of the images' cells: that of typical images, within reason."""
    ratios = sorted(look.height / look.width for look in examination.looks)
    return round(CELL * min(max(ratios[len(ratios) // 2], 0.35), 1.0)) if ratios else CELL // 2


def _step(shape: int) -> int:
    return shape + 4 + round(LINE * SMALL) * (1 + REASON) + GAP


def _framed(
    page: Image.Image, draw: ImageDraw.ImageDraw, mark: Mark, x: int, y: int, shape: int, colour: Colour
) -> None:
    draw.rectangle((x, y, x + CELL - 1, y + shape - 1), EMPTY, colour, 2)
    inner = CELL - 6, shape - 6
    try:
        image = read(mark.path)
    except InputError:
        draw.line((x, y, x + CELL - 1, y + shape - 1), colour, 2)
        draw.line((x, y + shape - 1, x + CELL - 1, y), colour, 2)
        return
    scale = min(inner[0] / image.width, inner[1] / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    page.paste(small, (x + (CELL - size[0]) // 2, y + (shape - size[1]) // 2))


def _lines(draw: ImageDraw.ImageDraw, x: int, y: int, lines: Sequence[str], size: int, colour: Colour) -> int:
    """Draw lines of text; the y below them."""
    font = ImageFont.load_default(size)
    for line in lines:
        draw.text((x, y), line, colour, font)
        y += round(LINE * size)
    return y


def _shortened(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The end of a name that is too long, where names differ most."""
    start = 0
    while font.getlength(("…" if start else "") + name[start:]) > CELL:
        start += 1
    return ("…" if start else "") + name[start:]
