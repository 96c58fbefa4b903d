# SPDX-License-Identifier: Apache-2.0
"""Finding image files. Hidden files and files that are no images are passed over; the order is always sorted."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from dssm.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})


def is_image(path: Path) -> bool:
    """Whether the name is that of a visible image file (the content is not looked at)."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def entries(folder: Path) -> list[Path]:
    """Return the visible files and folders in `folder`; raises InputError when it cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror}") from error


def subfolders(folder: Path) -> list[Path]:
    """Return the visible folders in `folder`."""
    return [path for path in entries(folder) if path.is_dir()]


def images_in(folder: Path) -> list[Path]:
    """Return the images that lie directly in `folder`; raises InputError when there are none."""
    return _some([path for path in entries(folder) if is_image(path)], folder)


def images_below(folder: Path) -> list[Path]:
    """Return the images in `folder` and in its subfolders; raises InputError when there are none."""
    return _some(sorted(_walk(folder)), folder)


def find_images(path: str | Path) -> list[Path]:
    """Return the images meant by a file name, a folder (with its subfolders) or a glob pattern such as `new/*.png`.

    A file that is named outright is returned whatever it is called. Raises InputError when nothing is found.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if path.is_dir():
        return images_below(path)
    found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
    if not found:
        raise InputError(f"{path}: no such file or folder, and no file matches it as a pattern")
    return _some([file for file in found if file.is_file() and is_image(file)], path)


def _walk(folder: Path) -> list[Path]:
    def stop(error: OSError) -> None:
        raise InputError(f"cannot read the folder {error.filename}: {error.strerror}") from error

    found = []
    for parent, folders, files in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [path for path in (Path(parent, name) for name in files) if is_image(path)]
    return found


def _some(images: list[Path], place: Path) -> list[Path]:
    if not images:
        raise InputError(f"{place} holds no images ({' '.join(sorted(SUFFIXES))})")
    return images
