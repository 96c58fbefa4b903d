# SPDX-License-Identifier: Apache-2.0
"""Convolutions in 8 bits, their ranges taken from good images."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor


class _Images(CalibrationDataReader):
    """One image of (N, 3, H, W) uint8 after the other."""

    def __init__(self, images: Tensor) -> None:
        self.rest: Iterator[Tensor] = iter(images.split(1))

    def get_next(self) -> dict | None:
        image = next(self.rest, None)
        return None if image is None else {"images": image.numpy()}


def quantize(core: onnx.ModelProto, images: Tensor) -> onnx.ModelProto:
    """The graph of `trace` with 8-bit convolutions: one scale per output channel of the weights, one per feature map.

    Everything else stays float32: the distances amplify small errors, and cost little. images: (N, 3, H, W) uint8.
    """
    with tempfile.TemporaryDirectory() as folder:
        inferred, path = Path(folder, "shapes.onnx"), Path(folder, "int8.onnx")
        quant_pre_process(core, inferred, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            inferred,
            path,
            _Images(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,  # processors without VNNI add pairs of products in 16 bits
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_smoothing(core),
        )
        return onnx.load(path)


def _smoothing(core: onnx.ModelProto) -> list[str]:
    """The convolutions from one channel to one, which smooth the map."""
    smoothing = {tensor.name for tensor in core.graph.initializer if tensor.dims[:2] == [1, 1]}
    return [node.name for node in core.graph.node if node.op_type == "Conv" and node.input[1] in smoothing]
