# SPDX-License-Identifier: Apache-2.0
"""What was measured on test images, in memory that grows with neither their number nor their size."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from dssm.data import Sample, load_masks, read_size
from dssm.scratch import Lazy, Spool

if TYPE_CHECKING:
    from dssm.detector import Prediction

_ELSEWHERE = np.empty(0)


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a test set (JSON-ready, see `dssm.metrics.evaluate_scores`) and the predictions behind them."""

    metrics: dict[str, Any]
    samples: tuple[Sample, ...]
    predictions: Sequence[Prediction]
    masks: Sequence[Tensor | None] | None  # truth (H, W) bool at the size of the maps, None where nobody marked it


class Predictions(Lazy["Prediction"]):
    """A list of predictions whose arrays lie in a temporary file."""

    def __init__(self) -> None:
        self._rest: list[Prediction] = []  # all but the arrays
        self._arrays: list[dict[str, int]] = []  # where those of a prediction are in the spool
        self._spool = Spool()

    def append(self, prediction: Prediction) -> None:
        places, rest = {}, dict[str, Any](vars(prediction))
        for name, value in vars(prediction).items():
            if isinstance(value, np.ndarray):
                places[name], rest[name] = len(self._spool), _ELSEWHERE
                self._spool.append(value)
        self._arrays.append(places)
        self._rest.append(dataclasses.replace(prediction, **rest))

    def __len__(self) -> int:
        return len(self._rest)

    def item(self, index: int) -> Prediction:
        arrays: dict[str, Any] = {name: self._spool[place] for name, place in self._arrays[index].items()}
        return dataclasses.replace(self._rest[index], **arrays)


class Truth(Lazy["Tensor | None"]):
    """The masks of samples, (H, W) bool at `size`, or at that of each image where `size` is None.

    None stands for a sample that is defective nobody knows where. Raises InputError like `dssm.data.load_masks`.
    """

    def __init__(self, samples: Sequence[Sample], size: tuple[int, int] | None) -> None:
        self._samples, self._size = samples, size

    def __len__(self) -> int:
        return len(self._samples)

    def item(self, index: int) -> Tensor | None:
        sample = self._samples[index]
        return load_masks([sample], self._size or read_size(sample.path)[::-1])[0] if sample.has_truth else None
