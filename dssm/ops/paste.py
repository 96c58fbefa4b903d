# SPDX-License-Identifier: Apache-2.0
"""PasteNoise: a defect, its mask and its strength for every image of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dssm.errors import InputError
from dssm.ops import _check
from dssm.ops._op import define
from dssm.reference.paste import KINDS

Pasted = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _fake(image: torch.Tensor, *_: object) -> Pasted:
    return (
        torch.empty_like(image, memory_format=torch.contiguous_format),
        image.new_empty((image.shape[0], *image.shape[2:]), dtype=torch.bool),
        image.new_empty(image.shape[:1], dtype=torch.float32),
    )


_paste = define(
    "paste",
    "(Tensor image, Tensor? source, Tensor index, Tensor kind, int seed, float threshold, float[] alpha, "
    "int[] resolution, float[] area, int connectivity, str backend) -> (Tensor, Tensor, Tensor)",
    fake=_fake,
    differentiable=("image", "source"),
)


def paste(
    image: torch.Tensor,
    source: torch.Tensor | None,
    index: torch.Tensor,
    *,
    seed: int,
    kind: str | Sequence[str] | torch.Tensor = "noise",
    threshold: float = 0.5,
    alpha: Sequence[float] = (0.5, 1.0),
    resolution: Sequence[int] = (0, 6),
    area: Sequence[float] = (0.0, 1.0),
    connectivity: int = 8,
    backend: str | None = None,
) -> Pasted:
    """I_s = (1 - M) I + a M I + (1 - a) M I_e, M and a drawn per sample number (paper, eq. 3 and Fig. 4).

    image: (B, C, H, W), uint8, float32, float64, bfloat16 or float16.
    source: I_e, the same; None where no kind is noise.
    index: (B,) int64 sample numbers. seed: an integer in [0, 2^63).
    kind: one of KINDS, one per sample, or an int64 tensor (B,) of positions in KINDS.
      noise: M is the largest component (connectivity 8 or 4) of Perlin noise (resolution: see `perlin`) >
      threshold, which falls to 0.9 x the maximum where nothing exceeds it; a ~ U[alpha].
      scar, patch: a thin rotated and tinted rectangle, or an upright one, cut from the image itself (Table 8;
      CutPaste, CVPR 2021); opaque, so a = 0.
    area: (least, most) share of the image that M may cover; the threshold moves, or the rectangle is scaled,
      until it fits. Best effort, within 32 moves of a threshold and the raster of a rotated rectangle; `most`
      goes before `least`.
    Returns (image, mask, alpha): the image's shape and dtype, (B, H, W) bool, never empty, and (B,) float32.
    Sample i depends on (seed, index[i]) and its own inputs alone. uint8 results are alike on every backend,
    but for pixels whose noise lies within 1e-5 of the threshold. Half precision computes in float32.
    The image returned is differentiable in image and source (floating); M is piecewise constant.
    Raises InputError for other dtypes, shapes, ranges or devices.
    """
    _check.images("image", image)
    if 0 in image.shape[1:]:
        raise InputError(f"image must have at least one channel and one pixel, not shape {tuple(image.shape)}")
    _check.index(index)
    _check.shape("index", index, image.shape[:1], "image")
    kinds = _positions(kind, index, source)
    if source is not None:
        _check.source(source, image)
    _check.same_device(image=image, source=source, index=index, kind=kinds)
    _check.seed(seed)
    if not -2 <= threshold <= 2:
        raise InputError(f"threshold must be a number in [-2, 2], noise lies in about [-1, 1], not {threshold}")
    _check.interval("alpha", alpha, 0, 1)
    _check.resolution(resolution)
    _check.interval("area", area, 0, 1)
    _check.choice("connectivity", connectivity, (4, 8))
    settings = float(threshold), [*map(float, alpha)], list(resolution), [*map(float, area)], connectivity
    return _paste(image, source, index, kinds, seed, *settings, backend or "")


def _positions(
    kind: str | Sequence[str] | torch.Tensor, index: torch.Tensor, source: torch.Tensor | None
) -> torch.Tensor:
    """Positions in KINDS, (B,) int64; noise is refused where there is no source to show in it."""
    if isinstance(kind, torch.Tensor):
        _check.tensor("kind", kind, dims=1, dtypes=(torch.int64,))
        _check.shape("kind", kind, index.shape, "index")
        noisy = True  # what the tensor holds is not looked at: that would wait for its device
    else:
        names = [kind] if isinstance(kind, str) else list(kind)
        for name in names:
            _check.choice("kind", name, KINDS)
        if isinstance(kind, str):
            names *= len(index)
        if len(names) != len(index):
            raise InputError(f"kind must be one name or one per sample, {len(index)}, not {len(names)}")
        noisy = "noise" in names
        kind = torch.tensor([KINDS.index(name) for name in names], dtype=torch.int64, device=index.device)
    if noisy and source is None:
        raise InputError("source must be given unless every kind is named and none is noise")
    return kind
