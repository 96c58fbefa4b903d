# SPDX-License-Identifier: Apache-2.0
"""Training state on disk: one safetensors file, whole or absent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dssm.errors import InputError
from dssm.files import atomic


@dataclass
class Progress:
    """How far a training has come."""

    step: int  # steps done
    history: list[dict[str, Any]]  # a row of the log per finished epoch
    sums: dict[str, float]  # of the epoch in hand: losses and counts so far


def save(path: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write weights, buffers and the optimiser's averages, with the progress in the metadata of the same file."""
    tensors = {f"network.{name}": value.contiguous() for name, value in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                tensors[f"optimizer.{key}.{name}"] = value.contiguous()
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={"progress": json.dumps(vars(progress))})


def load(path: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Restore what `save` wrote. Raises InputError for a file that is not a checkpoint of this network."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            progress = Progress(**json.loads(file.metadata()["progress"]))
        network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"cannot resume from {path}: {str(error).splitlines()[0]}") from error
    for name, parameter in network.named_parameters():
        for key in {"momentum_buffer", "exp_avg", "exp_avg_sq", "step"}:
            value = tensors.get(f"optimizer.{key}.{name}")
            if value is not None:
                # An average keeps the parameter's memory format, the step is a scalar.
                like = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value)
                optimizer.state[parameter][key] = like.copy_(value)
    return progress
