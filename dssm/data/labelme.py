# SPDX-License-Identifier: Apache-2.0
"""Defects outlined in labelme: polygons and rectangles in a JSON file, drawn into a mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from dssm.errors import InputError
from dssm.files import read_json

LARGEST = 32767  # width, height and coordinates beyond this are taken for damage


def read(path: Path) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the outlined pixels, outlines included, as bool (H, W), and the (width, height) they were drawn on.

    Raises InputError when the file is broken or holds other shapes.
    """
    content = read_json(path)
    try:
        size = int(content["imageWidth"]), int(content["imageHeight"])
        if min(size) < 1 or max(size) > LARGEST:
            raise ValueError(f"an image of {size[0]}x{size[1]} pixels")
        canvas = Image.new("1", size)
        for shape in content["shapes"]:
            _draw(ImageDraw.Draw(canvas), shape)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no labelme file of polygons and rectangles: {error!r}") from error
    return np.array(canvas), size


def _draw(canvas: ImageDraw.ImageDraw, shape: dict) -> None:
    points = [(float(x), float(y)) for x, y in shape["points"]]
    if not all(abs(coordinate) <= LARGEST for point in points for coordinate in point):
        raise ValueError(f"coordinates {points}")
    kind = shape.get("shape_type", "polygon")
    if kind == "polygon" and len(points) >= 3:
        canvas.polygon(points, fill=1, outline=1)
    elif kind == "rectangle" and len(points) == 2:
        (left, right), (top, bottom) = (sorted(side) for side in zip(*points, strict=True))
        canvas.rectangle((left, top, right, bottom), fill=1, outline=1)
    else:
        raise ValueError(f"a {kind} of {len(points)} points")
