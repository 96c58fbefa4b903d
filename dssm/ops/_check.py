# SPDX-License-Identifier: Apache-2.0
"""Checks of op arguments; every failure names the argument, what it must be and what it was."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dssm.errors import InputError

FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
IMAGES = (torch.uint8, *FLOATS)


def tensor(name: str, value: object, *, dims: int | Sequence[int], dtypes: Sequence[torch.dtype]) -> None:
    """`value` is a tensor with one of the numbers of dimensions and one of the dtypes."""
    if not isinstance(value, torch.Tensor):
        raise InputError(f"{name} must be a tensor, not {type(value).__name__}")
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    if value.ndim not in dims:
        wanted = " or ".join(map(str, dims))
        raise InputError(f"{name} must have {wanted} dimensions, not shape {tuple(value.shape)}")
    if value.dtype not in dtypes:
        wanted = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        raise InputError(f"{name} must be one of {wanted}, not {str(value.dtype).removeprefix('torch.')}")


def images(name: str, value: object) -> None:
    """A batch (B, C, H, W), uint8 or floating."""
    tensor(name, value, dims=4, dtypes=IMAGES)


def index(value: object) -> None:
    """Sample numbers (B,), int64; looking at their values would wait for the device."""
    tensor("index", value, dims=1, dtypes=(torch.int64,))


def shape(name: str, value: torch.Tensor, wanted: Sequence[int], like: str) -> None:
    """`value` has the shape that another argument asks for."""
    if tuple(value.shape) != tuple(wanted):
        raise InputError(f"{name} must have shape {tuple(wanted)} to fit {like}, not {tuple(value.shape)}")


def same_device(**tensors: torch.Tensor | None) -> None:
    """All tensors live on one device."""
    devices = {name: value.device for name, value in tensors.items() if value is not None}
    if len(set(devices.values())) > 1:
        listed = ", ".join(f"{name} on {device}" for name, device in devices.items())
        raise InputError(f"all tensors must be on one device, not {listed}")


def choice(name: str, value: object, allowed: Sequence[object]) -> None:
    """`value` is one of `allowed`."""
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}")


def interval(name: str, value: Sequence[float], lo: float, hi: float) -> None:
    """`value` is a pair with lo <= value[0] <= value[1] <= hi."""
    if len(value) != 2 or not lo <= value[0] <= value[1] <= hi:
        raise InputError(f"{name} must be a pair with {lo} <= first <= second <= {hi}, not {tuple(value)}")


def seed(value: int) -> None:
    """An integer that the 64-bit key holds."""
    if not isinstance(value, int) or not 0 <= value < 2**63:
        raise InputError(f"seed must be an integer with 0 <= seed < 2^63, not {value!r}")


def resolution(value: Sequence[int]) -> None:
    """A non-empty range of exponents."""
    integers = all(isinstance(bound, int) for bound in value)
    if len(value) != 2 or not integers or not 0 <= value[0] < value[1] <= 16:
        raise InputError(f"resolution must be two integers with 0 <= first < second <= 16, not {tuple(value)}")


def source(value: torch.Tensor, image: torch.Tensor) -> None:
    """A batch like the image's, so that the two can be mixed."""
    tensor("source", value, dims=4, dtypes=(image.dtype,))
    shape("source", value, image.shape, "image")
