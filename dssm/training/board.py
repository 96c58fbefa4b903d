# SPDX-License-Identifier: Apache-2.0
"""A training in TensorBoard, which is an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dssm.errors import InputError
from dssm.files import BOARD, SAMPLES


class Board:
    """Writes the rows of a run's log, and its sample sheet, to the folder `tensorboard` of the run.

    Raises InputError where the package is not installed.

    >>> with Board(run) as board:                                        # doctest: +SKIP
    ...     detector.fit("parts/good", folder=run, on_epoch=board.epoch)
    """

    def __init__(self, run: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                'TensorBoard needs the package tensorboard: pip install "dssm-surface[tensorboard]"'
            ) from error
        self._run = run
        self._open = SummaryWriter
        self._writer: SummaryWriter | None = None

    def epoch(self, row: dict[str, Any]) -> None:
        """Show the losses, the rate and the speed of an epoch."""
        if self._writer is None:
            # A resumed training repeats what came after its checkpoint, which must not show twice.
            self._writer = self._open(str(self._run / BOARD), purge_step=row["epoch"])
            if (self._run / SAMPLES).exists():
                with Image.open(self._run / SAMPLES) as sheet:
                    self._writer.add_image("samples", np.asarray(sheet), row["epoch"], dataformats="HWC")
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(f"train/{name}", value, row["epoch"])
        self._writer.flush()

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
