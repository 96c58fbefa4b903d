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
from torch import Tensor

from dssm.errors import InputError
from dssm.files import atomic


@dataclass
class Progress:
    """How far a training has come."""

    step: int  # steps done
    history: list[dict[str, Any]]  # a row of the log per finished epoch
    sums: dict[str, float]  # of the epoch in hand: losses and counts so far


def save(path: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write weights, buffers and momenta; the progress goes into the file's metadata, so that both are of one moment."""
    tensors = {f"network.{name}": value.contiguous() for name, value in network.state_dict().items()}
    for name, momentum in _momenta(network, optimizer).items():
        tensors[f"momentum.{name}"] = momentum.contiguous()
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
        if f"momentum.{name}" in tensors:
            like = torch.empty_like(parameter)  # keeps the parameter's memory format
            optimizer.state[parameter]["momentum_buffer"] = like.copy_(tensors[f"momentum.{name}"])
    return progress


def _momenta(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    found = {name: optimizer.state.get(p, {}).get("momentum_buffer") for name, p in network.named_parameters()}
    return {name: momentum for name, momentum in found.items() if momentum is not None}
