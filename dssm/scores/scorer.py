# SPDX-License-Identifier: Apache-2.0
"""Image scores and anomaly maps of a trained network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from copy import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from dssm.errors import InputError
from dssm.model import Network
from dssm.model.backbone import pool
from dssm.scores.bank import POOL, Bank, Reservoir, make_bank
from dssm.scores.discriminator import Discriminator, make_discriminator
from dssm.scores.gaussian import Gaussian, Moments
from dssm.scores.lowering import lowered, quiet
from dssm.scores.maps import enlarge
from dssm.scores.trust import LEAST, deface, trust
from dssm.settings import Settings

MARGIN = 1.0  # deviations by which pooled features must stand out more than the top of the map: they see defects less
POSITIONS = 2048  # Gaussians at most; finer features are averaged, so that a model stays small
BANK_STAGES = (2, 3)  # fine enough for small defects, deep enough to know textures (PatchCore, Roth et al. 2022)


class Scorer:
    """Fits what the settings ask for to good images and turns images into scores and maps; larger is more anomalous."""

    def __init__(self, settings: Settings, widths: tuple[int, ...]) -> None:
        self.settings = settings
        self.image: Gaussian | None = None  # of pooled or projected features
        self.position: Gaussian | None = None  # of stage features, one per position
        self.bank: Bank | None = None  # of stage features, wherever they lie
        self.discriminator: Discriminator | None = None  # of the bank's whitened features
        self.channels = _draw_channels(settings, widths)
        # Mean and deviation, over good images, of each map, of the bank's excess and of each part of a fused image
        # score: different units on one scale. And the highest value of the quietest tenth of their maps.
        self.scales: dict[str, Tensor] = {}

    @torch.no_grad()
    def fit(self, network: Network, batches: Iterable[Tensor], progress: bool = False) -> None:
        """One pass over batches of good images (B, 3, H, W)."""
        maps, seed, grid = self.settings.maps, self.settings.seed, (0, 0)
        image, position, sample = Moments(), Moments(), Reservoir(POOL, seed=seed)
        for images in batches:
            stages = network.stages(images)
            if self.settings.image_score != "map":
                image.update(self._image_features(network, stages))
            if "mahalanobis" in maps:
                position.update(self._position_features(stages))
            if "bank" in maps:
                features = bank_features(stages).permute(0, 2, 3, 1)
                grid = (features.shape[1], features.shape[2])
                sample.update(features.flatten(0, 2))
        self.image = image.gaussian() if image.count else None
        self.position = position.gaussian(self.settings.ridge) if position.count else None
        self.bank, self.discriminator = None, None
        if "bank" in maps:
            self.bank = make_bank(sample, self.settings.bank, grid, seed=seed, progress=progress)
            if steps := self.settings.discriminator:
                white = self.bank.whitened(sample.vectors())
                places = sample.numbers % (grid[0] * grid[1])
                self.discriminator = make_discriminator(white, places, grid, steps, seed=seed, progress=progress)

    @torch.no_grad()
    def calibrate(self, network: Network, batches: Iterable[Tensor]) -> None:
        """Put maps, and the parts of the image score, on one scale by good images that `fit` has not seen.

        Those weigh most that separate these images best from copies of them with pasted defects (see `trust`): in the
        map that locates defects as the square of the separation, in the one that judges images as the separation.
        """
        values: dict[str, Moments] = defaultdict(Moments)
        seen: list[tuple[dict[str, Tensor], Tensor]] = []  # coarse maps and distances
        clean: dict[str, list[Tensor]] = defaultdict(list)  # tops of coarse maps
        defaced: dict[str, list[Tensor]] = defaultdict(list)
        count = 0
        for images in batches:
            stages = network.stages(images)
            coarse = self._coarse_maps(network, stages)
            for name, map_ in coarse.items():
                values[name].update(map_.reshape(-1, 1))
            if "bank" in coarse:  # or there is nothing to weigh
                index = torch.arange(count, count + len(images), device=images.device)
                count += len(images)
                spoiled = self._coarse_maps(network, network.stages(deface(images, index, self.settings.seed)))
                for name in coarse:
                    clean[name].append(_top(coarse[name]))
                    defaced[name].append(_top(spoiled[name]))
            seen.append((coarse, self._distance(network, stages)))
            size = (images.shape[2], images.shape[3])
        self.scales = {name: _scale(moments) for name, moments in values.items()}
        if clean:
            before, after = ({name: torch.cat(tops) for name, tops in found.items()} for found in (clean, defaced))
            self.scales["weights"] = trust(before, after, self.settings.maps, power=2)
            self.scales["judged"] = trust(before, after, self._judging, power=1)
        if not self.settings.lower and self.settings.image_score != "fused":
            return
        parts, quietest = Moments(), []
        for coarse, distance in seen:
            maps, judged = self._fine_maps(coarse, size)
            quietest.append(quiet(maps))
            parts.update(torch.stack([distance, _top(judged)], dim=1))
        if self.settings.lower:
            self.scales["quiet"] = torch.cat(quietest).amax()
        if self.settings.image_score == "fused":
            self.scales["image"] = scale = _scale(parts, least=LEAST)
            scale[0, 0] += MARGIN * scale[1, 0]

    @torch.no_grad()
    def score(self, network: Network, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B,) and maps (B, H, W) of a batch (B, 3, H, W), float32. Maps are in deviations from good ones."""
        stages = network.stages(images)
        maps, judged = self._fine_maps(self._coarse_maps(network, stages), (images.shape[2], images.shape[3]))
        located = lowered(maps, self.scales["quiet"]) if "quiet" in self.scales else maps
        if self.settings.image_score == "map":
            return _top(judged), located
        distance = self._distance(network, stages)
        if self.settings.image_score == "fused":
            return _standard(torch.stack([distance, _top(judged)], dim=1), self.scales["image"]).amax(1), located
        return distance, located

    def for_scoring(self) -> Scorer:
        """A copy that only scores, faster; to be made after `calibrate`."""
        scoring = copy(self)
        scoring.position = self.position and self.position.for_scoring()
        return scoring

    def state(self) -> dict[str, Tensor]:
        """Everything that was fitted, as named tensors."""
        state = {"channels": self.channels} | {f"scale.{name}": scale for name, scale in self.scales.items()}
        for name, fields in _FITTED.items():
            if (fitted := getattr(self, name)) is not None:
                state |= {f"{name}.{field}": getattr(fitted, field) for field in fields}
        return state

    def expected(self) -> set[str]:
        """The names of the tensors in `state` under these settings."""
        maps = self.settings.maps
        needed = {
            "image": self.settings.image_score != "map",
            "position": "mahalanobis" in maps,
            "bank": "bank" in maps,
            "discriminator": "bank" in maps and self.settings.discriminator > 0,
        }
        fitted = {f"{name}.{field}" for name, fields in _FITTED.items() if needed[name] for field in fields}
        scales = {
            **dict.fromkeys(maps, True),
            "excess": needed["bank"],
            "discriminator": needed["discriminator"],
            "weights": needed["bank"],
            "judged": needed["bank"],
            "quiet": self.settings.lower,
            "image": self.settings.image_score == "fused",
        }
        return {"channels"} | fitted | {f"scale.{name}" for name, there in scales.items() if there}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`; the names are those of `expected`."""
        for name, fields in _FITTED.items():
            if f"{name}.{fields[0]}" in state:
                kind = {"bank": Bank, "discriminator": Discriminator}.get(name, Gaussian)
                setattr(self, name, kind(*(state[f"{name}.{field}"] for field in fields)))
        self.channels = state["channels"]
        self.scales = {name.removeprefix("scale."): state[name] for name in state if name.startswith("scale.")}

    def _image_features(self, network: Network, stages: list[Tensor]) -> Tensor:
        if self.settings.image_score == "projector":
            assert network.projector is not None
            return network.projector(pool(stages)).float()
        return pool(stages, self.settings.pooled_stages)

    def _position_features(self, stages: list[Tensor]) -> Tensor:
        """(B, K, h, w): drawn channels of several stages, on a grid of 1/8 of the sides of the image or coarser."""
        height, width = stages[1].shape[2:]
        while height * width > POSITIONS:
            height, width = (height + 1) // 2, (width + 1) // 2
        chosen = [stages[stage - 1] for stage in self.settings.map_stages]
        return at_size(chosen, (height, width))[:, self.channels.to(stages[0].device)]

    def _coarse_maps(self, network: Network, stages: list[Tensor]) -> dict[str, Tensor]:
        """The maps by name, (B, h, w) float32, each on its own grid."""
        maps = {}
        if "segmentation" in self.settings.maps:
            assert network.segmenter is not None
            maps["segmentation"] = network.segmenter(stages).float()
        if "mahalanobis" in self.settings.maps:
            assert self.position is not None
            features = self._position_features(stages)
            _check_grid(self.position.mean.shape[:2], features.shape[2:])
            maps["mahalanobis"] = self.position.distance(features)
        if "bank" in self.settings.maps:
            assert self.bank is not None
            features = bank_features(stages).permute(0, 2, 3, 1)
            _check_grid(self.bank.usual.shape[1:], features.shape[1:3])
            white = self.bank.whitened(features)
            maps["bank"] = self.bank.distance(white)
            maps["excess"] = self.bank.excess(maps["bank"])
            if self.discriminator is not None:
                maps["discriminator"] = self.discriminator.logit(white)
        return maps

    def _fine_maps(self, coarse: dict[str, Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Sums of maps on one scale, (B, H, W), smoothed: the one that locates defects and the one that judges images.

        With a bank, both are weighted, and the second has the bank's excess in the place of its distance: what is
        unusual for its place tells more about an image, but is loud where good images are still. The same holds for
        the discriminator, which only judges.
        """
        standard = {name: _standard(map_, self.scales[name]) for name, map_ in coarse.items()}
        fine = {name: enlarge(standard[name], size, self.settings.smooth) for name in self.settings.maps}
        if "bank" not in fine:
            both = torch.stack(list(fine.values())).sum(0)
            return both, both

        def weighted(maps: dict[str, Tensor], weights: dict[str, Tensor]) -> Tensor:
            return torch.stack([weights[name] * map_ for name, map_ in maps.items() if name in weights]).sum(0)

        weights, judged = self._weights("weights", self.settings.maps), self._weights("judged", self._judging)
        unusual = {name: standard[name] for name in judged if name not in fine}  # on one grid: summed, then enlarged
        judging = fine | {"unusual": enlarge(weighted(unusual, judged), size, self.settings.smooth)}
        return weighted(fine, weights), weighted(judging, judged | {"unusual": torch.ones(())})

    def _weights(self, name: str, maps: Sequence[str]) -> dict[str, Tensor]:
        return dict(zip(maps, self.scales[name].unbind(), strict=True))

    @property
    def _judging(self) -> list[str]:
        """The maps whose sum judges images."""
        judging = ["excess" if name == "bank" else name for name in self.settings.maps]
        return judging + ["discriminator"] * (self.settings.discriminator > 0)

    def _distance(self, network: Network, stages: list[Tensor]) -> Tensor:
        """Mahalanobis distances (B,) of image features; zeros where the image score needs none."""
        if self.image is None:
            return torch.zeros(len(stages[0]), device=stages[0].device)
        return self.image.distance(self._image_features(network, stages))


# The tensors of what was fitted.
_FITTED = {
    "image": ("mean", "whiten"),
    "position": ("mean", "whiten"),
    "bank": ("mean", "whiten", "vectors", "usual"),
    "discriminator": ("inner", "place", "outer"),
}


def bank_features(stages: list[Tensor]) -> Tensor:
    """(B, C, H/8, W/8): stages of medium depth, each place averaged with its eight neighbours."""
    near = [F.avg_pool2d(stages[stage - 1].float(), 3, 1, 1, count_include_pad=False) for stage in BANK_STAGES]
    height, width = stages[1].shape[2:]
    return at_size(near, (height, width))


def at_size(stages: list[Tensor], size: tuple[int, int]) -> Tensor:
    """Stages brought to one size, by averaging or by bilinear interpolation, side by side: (B, sum of widths, h, w)."""
    resized = [
        F.adaptive_avg_pool2d(x.float(), size)
        if x.shape[2] > size[0]
        else F.interpolate(x.float(), size=size, mode="bilinear", align_corners=False)
        for x in stages
    ]
    return torch.cat(resized, dim=1)


def _check_grid(fitted: torch.Size, given: torch.Size) -> None:
    if fitted != given:
        raise InputError(f"this model was fitted on images of {list(fitted)} positions, not {list(given)}")


def _top(maps: Tensor) -> Tensor:
    return maps.flatten(1).amax(1)


def _scale(moments: Moments, least: float = 0.0) -> Tensor:
    """Mean and deviation (2, C) of values, the deviation at least that share of the mean."""
    assert moments.mean is not None
    assert moments.scatter is not None
    deviation = (moments.scatter.diagonal() / moments.count).sqrt()
    return torch.stack([moments.mean, deviation.maximum(least * moments.mean.abs()).clamp_min(1e-6)]).float()


def _standard(values: Tensor, scale: Tensor) -> Tensor:
    return (values - scale[0]) / scale[1]


def _draw_channels(settings: Settings, widths: tuple[int, ...]) -> Tensor:
    """Which of the concatenated channels enter the Mahalanobis map, ascending; drawn once from the seed (as PaDiM)."""
    total = sum(widths[stage - 1] for stage in settings.map_stages)
    generator = torch.Generator().manual_seed(settings.seed)
    return torch.randperm(total, generator=generator)[: settings.map_channels].sort().values
