# SPDX-License-Identifier: Apache-2.0
"""A trained detector on disk: model.safetensors (tensors) and model.json (everything else). No pickle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dssm import tensors
from dssm.errors import InputError
from dssm.files import CONFIG, FACTS, TENSORS, read_json, sha256, write_json

FORMAT = 3
_KEYS = ("format", "dssm", "torch", "settings", "size", "thresholds", "by_hand", "good", "data", "sha256")

_CONTAINERS = {"settings": dict, "thresholds": dict, "by_hand": list, "good": dict, "data": dict}


def write(folder: str | Path, values: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write both files; model.json, with the checksum of the other, comes last: a bundle that has it is whole."""
    place = Path(folder, TENSORS)
    tensors.write(place, values)
    write_json(Path(folder, FACTS), {"format": FORMAT, **facts, "sha256": sha256(place)})


def read(folder: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts. Raises InputError naming the file that is missing, broken or of another format."""
    folder = Path(folder)
    for name in (FACTS, TENSORS):
        if not (folder / name).is_file():
            raise InputError(f"{folder} is not a trained model: it has no {name}")
    facts = read_json(folder / FACTS)
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        found = facts.get("format") if isinstance(facts, dict) else None
        raise InputError(
            f"{folder / FACTS} has format {found!r}; this version of dssm reads format {FORMAT}: train it again "
            f"(dssm train --config {folder / CONFIG} --out NEW)"
        )
    check_keys(facts, _KEYS, f"{folder / FACTS}", "key")
    _check_values(facts, folder / FACTS)
    found = sha256(folder / TENSORS)
    if found != facts["sha256"]:
        raise InputError(
            f"{folder / TENSORS} is damaged: its SHA-256 is {found}, not {facts['sha256']} as in {FACTS}; copy it again"
        )
    return tensors.read(folder / TENSORS)[0], facts


def _check_values(facts: dict[str, Any], place: Path) -> None:
    """Raise InputError where something is of another kind than `write` was given."""
    for key, kind in _CONTAINERS.items():
        if not isinstance(facts[key], kind):
            raise InputError(f"{place} is damaged: its {key} cannot be {facts[key]!r}; copy it again")
    for key in ("thresholds", "good"):
        for name, value in facts[key].items():
            numbers = value if isinstance(value, list) and value else [value]
            if not all(isinstance(number, (int, float)) for number in numbers):
                raise InputError(f"{place} is damaged: {name} of its {key} cannot be {value!r}; copy it again")


def update(folder: str | Path, facts: Mapping[str, Any]) -> None:
    """Replace some facts of a bundle that is whole; the tensors stay, and so does their checksum."""
    place = Path(folder, FACTS)
    write_json(place, {**read_json(place), **facts})


def check_keys(found: Iterable[str], expected: Iterable[str], place: str, word: str) -> None:
    """Raise InputError when keys are missing or foreign."""
    missing, foreign = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing:
        raise InputError(f"{place} lacks the {word} {missing[0]!r}{_more(missing)}")
    if foreign:
        raise InputError(f"{place} has the {word} {foreign[0]!r}{_more(foreign)} that this model does not know")


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if names[1:] else ""
