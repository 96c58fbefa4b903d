# SPDX-License-Identifier: Apache-2.0
"""Weights of a backbone from a local file."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import nn

from dssm import tensors
from dssm.bundle import check_keys
from dssm.errors import InputError


def load_weights(backbone: nn.Module, path: Path) -> None:
    """Load a state dict with torchvision's names (timm's are the same), .safetensors or what torch.save wrote.

    The classifier's fc.weight and fc.bias are left out. Raises InputError naming the file when it is no such thing;
    nothing but tensors is unpickled.
    """
    if path.suffix == ".safetensors":
        values = tensors.read(path)[0]
    else:
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise InputError(f"cannot read weights from {path}: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no state dict")
    values = {name: value for name, value in values.items() if not name.startswith("fc.")}
    wanted = backbone.state_dict()
    check_keys(values, wanted, str(path), "tensor")
    for name, value in wanted.items():
        if values[name].shape != value.shape:
            raise InputError(f"{path}: {name} has shape {tuple(values[name].shape)}, not {tuple(value.shape)}")
    backbone.load_state_dict(values)
