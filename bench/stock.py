# SPDX-License-Identifier: Apache-2.0
"""The training step as one writes it without this package: DataLoader workers that do per image, in NumPy, Pillow and
scikit-image, what our ops do per batch; the network of `stock_network`; the losses of this package, plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from skimage.feature import hog
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dssm.settings import Settings
from dssm.training.batch import HOG_WINDOW, Batch
from dssm.training.loss import losses

from . import noise_peers
from .inputs import pictures
from .stock_network import StockNetwork

MEAN, STD = np.array([(0.485, 0.456, 0.406), (0.229, 0.224, 0.225)], np.float32)  # ImageNet's


class Anomalies(Dataset):
    """Item i: a good image and its pasted twin as floats, the mask, and the HOG of both."""

    def __init__(self, images: Tensor, textures: Tensor, settings: Settings) -> None:
        self.images = pictures(images)
        self.textures = [Image.fromarray(texture) for texture in pictures(textures)]
        self.settings = settings

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        rng = np.random.default_rng()
        image, settings = self.images[i], self.settings
        texture = self.textures[rng.integers(len(self.textures))]
        chosen = rng.permutation(len(noise_peers.PILLOW))[: settings.augment].tolist()
        low, high = np.array([(0, 1), (4, 8), (32, 224), (26, 487), (26, 487), (26, 487)]).T
        source = noise_peers.randaugment(texture, chosen, rng.integers(low, high)[chosen].tolist())
        mask = noise_peers.noise_mask(image.shape[:2], rng, settings.area[1])
        pasted = noise_peers.blend(image, np.asarray(source), mask, rng.uniform(*settings.alpha))
        return _float(image), _float(pasted), torch.from_numpy(mask), _target(image), _target(pasted)


def _float(image: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32, normalised."""
    values = (image.astype(np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(values.transpose(2, 0, 1).copy())


def _target(image: np.ndarray) -> Tensor:
    small = Image.fromarray(image).resize(HOG_WINDOW[::-1], Image.Resampling.BILINEAR)
    features = hog(np.asarray(small), pixels_per_cell=(8, 8), cells_per_block=(2, 2), channel_axis=-1)
    return torch.from_numpy(features.astype(np.float32))


def steps(images: Tensor, textures: Tensor, settings: Settings, workers: int) -> Iterator[float]:
    """An endless training; every item is the loss of one more step."""
    torch.manual_seed(settings.seed)
    network = StockNetwork(settings).train()
    if settings.optimizer == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(
            network.parameters(), settings.rate, momentum=settings.momentum, weight_decay=settings.decay
        )
    else:
        optimizer = torch.optim.AdamW(network.parameters(), settings.rate, weight_decay=settings.decay)
    loader: DataLoader = DataLoader(
        Anomalies(images, textures, settings),
        batch_size=settings.batch // 2,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    while True:
        for good, pasted, mask, good_target, pasted_target in loader:
            half = len(good)
            batch = Batch(
                images=torch.cat([good, pasted]),
                labels=torch.arange(2).repeat_interleave(half),
                masks=torch.cat([torch.zeros_like(mask), mask]),
                targets=torch.cat([good_target, pasted_target]),
            )
            loss = torch.stack(list(losses(network(batch.images), batch, settings).values())).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()
