# SPDX-License-Identifier: Apache-2.0
"""One image file, whatever its format, as 8-bit RGB; and the mask that marks its defects."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from dssm.data import labelme
from dssm.data.sample import Sample
from dssm.errors import InputError

MIN_SIDE = 8
# Pillow's decoders report a broken file in all these ways.
BROKEN = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, struct.error,
          Image.DecompressionBombError)  # fmt: skip
COLOURS = {
    "1": "grey", "L": "grey", "I": "grey", "F": "grey", "LA": "grey with alpha", "P": "palette", "RGB": "colour",
    "RGBA": "colour with alpha",
}  # fmt: skip
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
HALF = np.float32(0.5 + 2**-10)  # added before rounding down: ties go up, whatever the last bits of a sum are


def read(path: str | Path) -> Image.Image:
    """Read an image as 8-bit RGB, upright as its EXIF orientation says; of several frames the first.

    Grey, palette, 1-bit and CMYK become RGB. Alpha is ignored: what lies under transparent pixels is part of the
    image. 16 bits are divided by 257 whatever the image holds, so that exposures stay comparable between images.

    Raises InputError, naming the file, when it is missing, empty, truncated, no image, a decompression bomb, of
    floating-point pixels, or smaller than 8x8.
    """
    with _opened(path) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
        _check_size(path, upright.size)
        return _to_rgb(upright, path)


def resize(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Return an image at `size` (height, width) as uint8 (3, H, W): the one way in which images come to that size.

    Bilinear, the filter as wide as the reduction (antialiasing), in floating point and rounded once, so that Pillow,
    torch and the Resize of an exported model give the same bytes; but for a few in 100,000 that differ by one.
    """
    planes = [plane.convert("F").resize(size[::-1], Image.Resampling.BILINEAR) for plane in image.split()]
    return (np.stack([np.asarray(plane) for plane in planes]) + HALF).astype(np.uint8)


def read_size(path: str | Path) -> tuple[int, int]:
    """Return (width, height) of the upright image from its header; raises InputError like `read`."""
    with _opened(path) as image:
        size = image.size[::-1] if image.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS else image.size
        _check_size(path, size)
        return size


def read_format(path: str | Path) -> tuple[str, int]:
    """Return what a file stores, read from its header: grey, colour, palette, CMYK ..., and the bits per channel.

    Of 16-bit colour, `read` keeps the high byte. Raises InputError like `read`.
    """
    with _opened(path) as image:
        colours = image.mode.split(";")[0]
        deep = colours == "I" or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
        return COLOURS.get(colours, colours), 1 if colours == "1" else 16 if deep else 8


def read_mask(sample: Sample, size: tuple[int, int]) -> np.ndarray:
    """Return the defective pixels of an image of `size` (width, height) as bool (H, W), upright, not resized.

    A pixel of a mask image is defective above half of the mask's brightest value, which fits 0/1 as well as 0/255
    masks and cuts blurred edges in the middle. A good sample, and a mask that is black all over, give no pixel.

    Raises InputError when the mask is of another size than the image, broken, or unknown (see Sample.has_truth).
    """
    if sample.good:
        return np.zeros(size[::-1], dtype=bool)
    if sample.mask is None:
        raise InputError(f"{sample.path} is defective ({sample.kind}) but has no mask; leave it out of pixel metrics")
    if sample.mask.suffix.lower() == ".json":
        mask, mask_size = labelme.read(sample.mask)
    else:
        mask, mask_size = _read_mask_image(sample.mask)
    if mask_size != size:
        raise InputError(
            f"the mask {sample.mask} is {mask_size[0]}x{mask_size[1]} pixels but its image {sample.path} is "
            f"{size[0]}x{size[1]}"
        )
    return mask


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise InputError(f"cannot read the image {path}: it is no file; remove it")  # a pipe would wait for ever
        with Image.open(path) as image:
            yield image
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(f"cannot read the image {path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What is wrong, without the path, which Pillow may repeat, and what to do."""
    if isinstance(error, UnidentifiedImageError):
        return "it is no image, or damaged; replace or remove it"
    if isinstance(error, Image.DecompressionBombError):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"it has more than {most:,} pixels and may be a decompression bomb; cut it into parts"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{error or type(error).__name__}; replace or remove it"


def _check_size(path: str | Path, size: tuple[int, int]) -> None:
    if min(size) < MIN_SIDE:
        raise InputError(f"image {path} is {size[0]}x{size[1]} pixels; at least {MIN_SIDE}x{MIN_SIDE} are needed")


def _to_rgb(image: Image.Image, path: str | Path) -> Image.Image:
    if image.mode == "F":
        raise InputError(f"image {path} holds floating-point pixels of no fixed range; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        image = _from_16_bits(np.asarray(image), path)
    return image.convert("RGB")


def _from_16_bits(pixels: np.ndarray, path: str | Path) -> Image.Image:
    if pixels.min() < 0 or pixels.max() > 65535:
        raise InputError(f"image {path} holds values outside 0..65535; save it with 8 or 16 bits")
    return Image.fromarray(((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _read_mask_image(path: Path) -> tuple[np.ndarray, tuple[int, int]]:
    with _opened(path) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
        grey = np.asarray(upright if upright.mode[0] in "IF" else upright.convert("L"), dtype=np.float32)
    return (grey > 0) & (grey > grey.max() / 2), upright.size
