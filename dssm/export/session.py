# SPDX-License-Identifier: Apache-2.0
"""An exported model in onnxruntime."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
)
from onnxruntime.capi.onnxruntime_pybind11_state import (
    NotImplemented as Unsupported,
)

from dssm.detector import Prediction
from dssm.errors import InputError

FORMAT = "2"  # of inputs, outputs and metadata
OUTPUTS = ("score", "anomalous", "map", "mask")
_BROKEN = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, Unsupported)


def open_session(model: str | bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session on the CPU, of a file's name or of its content."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Exported:
    """A model that `dssm export` wrote. Calling it with an image (h, w, 3) uint8 gives a Prediction.

    `threads` None leaves their number to onnxruntime. `facts` is the metadata of the file. Raises InputError for a file
    that is missing, broken, not of this package, or of another format.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file; `dssm export` writes one")
        try:
            self._session = open_session(str(path), threads)
        except _BROKEN as error:
            raise InputError(
                f"{path} is not an ONNX model that onnxruntime {onnxruntime.__version__} can run; copy or export it "
                f"again, or install a newer onnxruntime ({_sentence(error)})"
            ) from error
        self.facts: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        found = self.facts.get("dssm.format")
        if found is None:
            raise InputError(f"{path} is an ONNX model, but none that `dssm export` wrote")
        if found != FORMAT:
            version = self.facts.get("dssm.version", "another version")
            raise InputError(
                f"{path} has format {found}, written by dssm {version}; this one reads format {FORMAT}: export it again"
            )

        self.thresholds: dict[str, float] = json.loads(self.facts["dssm.thresholds"])

    def __call__(self, image: np.ndarray) -> Prediction:
        score, anomalous, heat, mask = self._session.run(OUTPUTS, {"image": image})
        return Prediction(None, float(score), bool(anomalous), heat, mask, self.thresholds)


def _sentence(error: Exception) -> str:
    """What it says first, without the names of its C++ sources and functions, which come in between."""
    first = str(error).splitlines()[0].split(". ")[0]
    return re.sub(r"/\S*onnxruntime\S*\.(cc|h):\d+ .*?\) ", "", first)
