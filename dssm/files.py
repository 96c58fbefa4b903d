# SPDX-License-Identifier: Apache-2.0
"""Files that are either whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from dssm.errors import InputError

# What a run folder holds while and after it is trained.
CONFIG, LOG, BOARD, SAMPLES, CHECKPOINT, TENSORS, FACTS, CARD = (
    "config.yaml",
    "log.csv",
    "tensorboard",
    "samples.png",
    "checkpoint.safetensors",
    "model.safetensors",
    "model.json",
    "model_card.md",
)


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends, remove it when it fails.

    Raises InputError when the folder cannot be written or the disk is full.
    """
    path = Path(path)
    # The suffix stays last: image libraries choose the format by it.
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; rename it to `path` when the block ends, remove it when it fails.

    Raises InputError when `path` exists and is not an empty folder, or cannot be written.
    """
    path = Path(path)
    check_new(path)
    with _temporary_folder(path) as temporary:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        os.replace(temporary, path)


@contextmanager
def renewed_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; move its files into `path` when the block ends, none when it fails.

    Other files in `path` stay. Raises InputError when it cannot be written.
    """
    path = Path(path)
    with _temporary_folder(path) as temporary:
        yield temporary
        path.mkdir(exist_ok=True)
        for file in temporary.iterdir():
            os.replace(file, path / file.name)


@contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` for what is to be there; it is gone afterwards, and errors name `path`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    try:
        yield temporary
    except InputError as error:
        # Nobody knows the temporary folder, which is gone by now.
        raise InputError(str(error).replace(str(temporary), str(path))) from error
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new(path: Path) -> None:
    """Raise InputError when `path` exists and is not an empty folder."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path} exists already; choose a folder that does not")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def open_csv(path: Path) -> TextIO:
    """Open a file for csv to write; names of files come out as they are on the disk, UTF-8 or not."""
    return path.open("w", newline="", encoding="utf-8", errors="surrogateescape")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, indented; not-a-number is refused by json and never reaches a file."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; raises InputError that names it when it is missing or broken."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal; raises InputError that names a file that cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return digest.hexdigest()
