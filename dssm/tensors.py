# SPDX-License-Identifier: Apache-2.0
"""Named tensors on disk: safetensors files, whole or absent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dssm.errors import InputError
from dssm.files import atomic


def write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors and some text atomically. Raises InputError when the file cannot be written."""
    data = save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata)
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the text. Raises InputError, naming the file, when it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} is damaged or cannot be read: {error}") from error
