# SPDX-License-Identifier: Apache-2.0
"""What training makes of good images, as a picture: whoever sees it knows what the network is asked to find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from dssm import picture

if TYPE_CHECKING:
    from dssm.methods import Method

ROWS = 8


def sample_sheet(method: Method, images: Tensor, textures: Tensor, *, rows: int = ROWS) -> Image.Image | None:
    """A row for each of `rows` good images (N, 3, H, W) uint8, spread evenly: the image, the same as the first epoch
    will show it with something pasted in, and the mask of that; None for a method that pastes nothing.
    """
    count = min(rows, len(images))
    index = torch.arange(count, device=images.device) * len(images) // count
    made = method.samples(images[index], textures, index)
    if made is None:
        return None
    good, pasted, masks = (part.cpu() for part in made)
    captions = [
        f"sample {number}: {100 * share:.2g} % of the image"
        for number, share in zip(index.tolist(), masks.flatten(1).double().mean(1).tolist(), strict=True)
    ]
    grid = [
        [image, spoilt, mask[None].to(torch.uint8) * 255]
        for image, spoilt, mask in zip(good, pasted, masks, strict=True)
    ]
    return picture.sheet(grid, headers=["image", "pasted", "mask"], captions=captions)
