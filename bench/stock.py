# SPDX-License-Identifier: Apache-2.0
"""The training step as one writes it without this package: DataLoader workers that do per image, in NumPy, Pillow and
scikit-image, what our ops do per batch, and an eager float32 NCHW network with the same heads and the same losses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from skimage.feature import hog
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from dssm.model import Output
from dssm.model.backbone import WIDTHS
from dssm.model.decoder import Decoder
from dssm.model.network import TARGET_VALUES
from dssm.model.projector import Classifier, Projector
from dssm.model.segmenter import Segmenter
from dssm.settings import Settings
from dssm.training.batch import HOG_WINDOW, Batch
from dssm.training.loss import losses, total

from . import noise_peers
from .inputs import pictures
from .masked_peers import FourConvolutions

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


class BasicBlock(nn.Module):
    """He et al., CVPR 2016."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


class StockNetwork(nn.Module):
    """ResNet-18 and the heads that the settings ask for, eager and NCHW."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width = WIDTHS[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(BasicBlock(inputs, outputs, 1 if inputs == outputs else 2), BasicBlock(outputs, outputs, 1))
            for inputs, outputs in zip((64, *WIDTHS), WIDTHS, strict=False)
        )
        self.projector = Projector(width)
        self.classifier = Classifier(settings.ways, width)
        self.regressor = nn.Sequential(FourConvolutions(width, settings.mscm_dilation), Decoder(TARGET_VALUES, width))
        self.segmenter = Segmenter() if settings.segment else None

    def forward(self, images: Tensor) -> Output:
        x, stages = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            stages.append(x)
        projected = self.projector(x.mean((2, 3)))
        segmented = self.segmenter(stages) if self.segmenter is not None else None
        return Output(stages, projected, self.classifier(projected), self.regressor(x), segmented)


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
            loss = total(losses(network(batch.images), batch, settings))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()
