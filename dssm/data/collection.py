# SPDX-License-Identifier: Apache-2.0
"""From the folder that the user names to a Collection, whatever way the data lies on the disk."""

from __future__ import annotations

from pathlib import Path

from dssm.data import bsd, elpv, folder, mvtec
from dssm.data.listing import entries, find_images
from dssm.data.sample import GOOD, Collection, Sample
from dssm.errors import InputError

__all__ = ["GOOD", "Collection", "Sample", "discover", "find_images", "resolve"]

LAYOUTS = (mvtec, bsd, elpv, folder)


def resolve(data: str | Path) -> str:
    """What the user named, good from any folder: an absolute path, or the word `elpv`."""
    return str(data) if str(data) == elpv.LAYOUT else str(Path(data).resolve())


def discover(data: str | Path, *, protocol: str | None = None, seed: int = 0) -> Collection:
    """Find out what `data` is, and read its lists of files (no pixel is read).

    It is a folder in MVTec AD layout, a BSData clone, the data folder of `elpv-dataset`, or a folder of good images,
    tried in this order; the word `elpv` means the installed package (write ./elpv for a folder of that name).
    `protocol` ("paper" or "strict") is for BSData; `seed` decides what is drawn for training where that is random.
    The same files and seed give the same lists in the same order everywhere.

    Raises InputError, naming the file or folder, when it is missing, unreadable, empty, or contradicts itself.
    """
    path = elpv.installed() if str(data) == elpv.LAYOUT else Path(data)
    if path.is_file():
        raise InputError(f"{path} is a file; give the folder that holds the images")
    if not entries(path):
        raise InputError(f"the folder {path} is empty; give a folder of images")
    layout = next(layout for layout in LAYOUTS if layout.matches(path))
    if protocol is not None and protocol not in layout.PROTOCOLS:
        known = f"only {' and '.join(layout.PROTOCOLS)}" if layout.PROTOCOLS else "no protocols"
        raise InputError(f"protocol {protocol!r} does not exist for {path}: its layout, {layout.LAYOUT}, has {known}")
    return layout.read(path, protocol, seed)
