# SPDX-License-Identifier: Apache-2.0
"""What every system for finding defects offers, so that one detector, one training loop and one table hold all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from copy import copy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dssm import bundle
from dssm.errors import InputError
from dssm.model.backbone import Backbone
from dssm.model.inference import for_inference
from dssm.model.weights import load_weights
from dssm.settings import Settings


class Method(ABC):
    """One way to learn from good images and to score new ones.

    `Detector.fit` calls, in this order: `prepare` on the good images, the training loop on `losses` if the method
    `trains`, `fit` on the good images, `calibrate` on good images that were held out. Batches are (B, 3, H, W) uint8
    on the network's device.
    """

    trains: ClassVar[bool] = True
    defaults: ClassVar[dict[str, Any]] = {}  # what its own paper sets, over the defaults of `Settings`
    network: nn.Module  # all weights, also those that nothing trains
    progress: bool = False  # whether a long `fit` shows a bar

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def load_weights(self) -> None:
        """Start from the weights that the settings name, if they do. Raises InputError naming what is none."""
        if self.settings.weights is not None:
            backbone = self.network.get_submodule("backbone")
            assert isinstance(backbone, Backbone)
            load_weights(backbone, self.settings.weights)

    def prepare(self, batches: Iterable[Tensor]) -> None:  # noqa: B027, most methods need nothing
        """What training must know of the good images beforehand; kept in the network's buffers."""

    def losses(self, images: Tensor, textures: Tensor, index: Tensor) -> dict[str, Tensor]:
        """The weighted terms, by name, whose sum a training step minimises.

        images (n, 3, H, W) uint8 good images, textures (T, 3, H, W) uint8, index (n,) int64 sample numbers, on which
        together with the seed all that is random depends.
        """
        raise NotImplementedError(f"{type(self).__name__} does not train")

    def samples(self, images: Tensor, textures: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:  # noqa: ARG002
        """What `losses` makes of the same arguments, for people: the good images (n, 3, h, w) uint8, the same with
        something pasted in, and where (n, h, w) bool; None where nothing is pasted.
        """
        return None

    def fit(self, batches: Iterable[Tensor]) -> None:  # noqa: B027, where the network itself scores there is nothing
        """Learn, in one pass over the good images, what scores are measured against."""

    def calibrate(self, batches: Iterable[Tensor]) -> None:  # noqa: B027, most methods need nothing
        """Put scores on a scale, by good images that `fit` has not seen."""

    @abstractmethod
    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B,) and maps (B, H, W) float32 of a batch; larger is more anomalous."""

    def for_scoring(self, dtype: torch.dtype = torch.float32) -> Method:
        """A copy that only `score` may be asked of, and faster (see `dssm.model.inference`); made after `calibrate`."""
        scoring = copy(self)
        scoring.network = for_inference(self.network, dtype)
        return scoring

    @property
    def views(self) -> int:
        """Images that a step makes of each good one and passes through the network together."""
        return 2

    @property
    def training_heads(self) -> tuple[str, ...]:
        """Attributes of the network that scoring does not need; a saved model leaves them out."""
        return ()

    def fitted(self) -> dict[str, Tensor]:
        """What `fit` and `calibrate` found."""
        return {}

    def fitted_names(self) -> set[str]:
        """The keys of `fitted` under these settings."""
        return set()

    def restore(self, fitted: dict[str, Tensor]) -> None:  # noqa: B027
        """The inverse of `fitted`; the tensors are on the device where scores will be computed."""

    def state(self) -> dict[str, Tensor]:
        """All that scoring needs, on the CPU."""
        values = {f"network.{name}": value for name, value in self._weights().items()}
        values |= {f"scorer.{name}": value for name, value in self.fitted().items()}
        return {name: value.cpu() for name, value in values.items()}

    def load_state(self, values: dict[str, Tensor], place: str, device: torch.device) -> None:
        """The inverse of `state`. Raises InputError naming `place` for tensors missing, foreign or misshapen."""
        for head in self.training_heads:
            setattr(self.network, head, None)
        weights = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        bundle.check_keys(values, {*weights, *(f"scorer.{name}" for name in self.fitted_names())}, place, "tensor")
        for name, value in weights.items():
            if values[name].shape != value.shape:
                raise InputError(f"{place}: {name} has shape {tuple(values[name].shape)}, not {tuple(value.shape)}")
        self.network.load_state_dict({name.removeprefix("network."): values[name] for name in weights})
        self.network.to(device).eval()
        self.restore({name: values[f"scorer.{name}"].to(device) for name in self.fitted_names()})

    def _weights(self) -> dict[str, Tensor]:
        heads = tuple(f"{head}." for head in self.training_heads)
        return {name: value for name, value in self.network.state_dict().items() if not name.startswith(heads)}
