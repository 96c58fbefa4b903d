# SPDX-License-Identifier: Apache-2.0
"""A trained detector on disk: model.safetensors (tensors) and model.json (everything else). No pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dssm.errors import InputError
from dssm.files import FACTS, TENSORS, atomic, read_json, write_json

FORMAT = 1
_KEYS = {"format", "dssm", "torch", "settings", "size", "thresholds", "data"}


def write(folder: str | Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write both files; model.json comes last, so a bundle that has it is whole."""
    folder = Path(folder)
    with atomic(folder / TENSORS) as temporary:
        temporary.write_bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}))
    write_json(folder / FACTS, {"format": FORMAT, **facts})


def read(folder: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts. Raises InputError naming the file that is missing, broken or of another format."""
    folder = Path(folder)
    for name in (FACTS, TENSORS):
        if not (folder / name).is_file():
            raise InputError(f"{folder} is not a trained model: it has no {name}")
    facts = read_json(folder / FACTS)
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        found = facts.get("format") if isinstance(facts, dict) else None
        raise InputError(f"{folder / FACTS} has format {found!r}; this version of dssm reads format {FORMAT}")
    check_keys(facts, _KEYS, folder / FACTS, "key")
    try:
        with safe_open(folder / TENSORS, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder / TENSORS} is damaged: {error}") from error


def check_keys(found: Mapping[str, Any], expected: set[str], path: Path, word: str) -> None:
    """Raise InputError when keys are missing or foreign."""
    missing, foreign = sorted(expected - set(found)), sorted(set(found) - expected)
    if missing:
        raise InputError(
            f"{path} lacks the {word} {missing[0]!r}" + (f" and {len(missing) - 1} more" if missing[1:] else "")
        )
    if foreign:
        raise InputError(
            f"{path} has the {word} {foreign[0]!r}"
            + (f" and {len(foreign) - 1} more" if foreign[1:] else "")
            + " that this model does not know"
        )
