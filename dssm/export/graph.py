# SPDX-License-Identifier: Apache-2.0
"""From a method in PyTorch to one ONNX graph: any image in, score, verdict, map and mask out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType

import onnx
import torch
from onnx import TensorProto, helper
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules.common import fuse_batchnorm_into_conv_rule, fuse_batchnorm_into_gemm_rule
from torch import Tensor, nn

from dssm import backends, ops, tiles
from dssm.data.image import HALF
from dssm.errors import InputError
from dssm.methods import Method
from dssm.scores.normalise import spread
from dssm.tiles import Tiles

OPSET = 18  # the first whose Resize filters before it reduces
_FUSIONS = (fuse_batchnorm_into_conv_rule, fuse_batchnorm_into_gemm_rule)
_ANY = 2**31  # how large a constant may be to be worked out beforehand: as large as it is


class _Scoring(nn.Module):
    """What a method says of the first image of a batch."""

    def __init__(self, method: Method, cut: Tiles | None) -> None:
        super().__init__()
        self.network = method.network
        self.method, self.tiles = method, cut

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        scores, maps = tiles.score(self.method, images, self.tiles)
        return scores[0].float(), maps[0].float()


@torch.no_grad()
def trace(method: Method, size: tuple[int, int], cut: Tiles | None = None) -> onnx.ModelProto:
    """`method.score` as a graph: images (1, 3, H, W) uint8 of `size` -> score () and map (H, W), float32.

    Where images are cut into tiles, those are one batch of the graph. The ops of this package become the plain
    operators that their references are made of, and batch normalisation becomes part of the convolution before it.
    Raises InputError for a method that no graph can hold.
    """
    example = torch.zeros(1, 3, *size, dtype=torch.uint8)
    try:
        with _quiet():
            program = torch.export.export(_Scoring(method, cut).eval(), (example,)).run_decompositions(
                _decompositions()
            )
            exported = torch.onnx.export(
                program,
                input_names=["images"],
                output_names=["score", "map"],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except RuntimeError as error:
        name = method.settings.method
        raise InputError(f"the method {name} cannot be exported to ONNX: {_reason(error)}") from error
    assert exported is not None
    fused = rewriter.rewrite(exported.model_proto, pattern_rewrite_rules=_FUSIONS)
    return optimizer.optimize(fused, input_size_limit=_ANY, output_size_limit=_ANY)


def complete(
    core: onnx.ModelProto, size: tuple[int, int], thresholds: Mapping[str, float], metadata: dict[str, str]
) -> onnx.ModelProto:
    """Around what `trace` made: image (height, width, 3) uint8 -> score, anomalous, map and mask, in a file of its own.

    Beside them `normalised` and `normalised_map`, score and map as `dssm.scores.normalise` puts them from 0 to 1.
    The image may have any size; all maps have `size`. `thresholds` are those of a `Detector`.
    """
    graph = core.graph
    constants = [
        helper.make_tensor("size", TensorProto.INT64, [2], size),
        helper.make_tensor("batch_axis", TensorProto.INT64, [1], [0]),
        helper.make_tensor("half", TensorProto.FLOAT, [], [float(HALF)]),
        # The thresholds are Python's floats; float32 might round one past the score that set it.
        *(
            helper.make_tensor(name, TensorProto.DOUBLE, [], [value])
            for kind in ("image", "pixel")
            for name, value in (
                (f"{kind}_threshold", thresholds[kind]),
                (f"{kind}_spread", spread(thresholds[kind], thresholds[f"typical_{kind}"])),
            )
        ),
        helper.make_tensor("one_half", TensorProto.DOUBLE, [], [0.5]),
    ]
    resize = helper.make_node(
        "Resize", ["values", "", "", "size"], ["resized"], mode="linear", antialias=1, exclude_outside=1, axes=[1, 2]
    )
    before = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[2, 0, 1]),
        helper.make_node("Cast", ["planes"], ["values"], to=TensorProto.FLOAT),
        resize,
        helper.make_node("Add", ["resized", "half"], ["raised"]),
        helper.make_node("Cast", ["raised"], ["rounded"], to=TensorProto.UINT8),
        helper.make_node("Unsqueeze", ["rounded", "batch_axis"], ["images"]),
    ]
    after = [
        helper.make_node("Cast", ["score"], ["score_double"], to=TensorProto.DOUBLE),
        helper.make_node("Cast", ["map"], ["map_double"], to=TensorProto.DOUBLE),
        helper.make_node("Greater", ["score_double", "image_threshold"], ["anomalous"]),
        helper.make_node("Greater", ["map_double", "pixel_threshold"], ["mask"]),
        *_normalise("score_double", "image", "normalised"),
        *_normalise("map_double", "pixel", "normalised_map"),
    ]
    whole = helper.make_graph(
        [*before, *graph.node, *after],
        "detector",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["height", "width", 3])],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("anomalous", TensorProto.BOOL, []),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, size),
            helper.make_tensor_value_info("mask", TensorProto.BOOL, size),
            helper.make_tensor_value_info("normalised", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("normalised_map", TensorProto.FLOAT, size),
        ],
        [*graph.initializer, *constants],
    )
    model = helper.make_model(whole, opset_imports=core.opset_import, ir_version=core.ir_version, producer_name="dssm")
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model


def _normalise(values: str, kind: str, result: str) -> list[onnx.NodeProto]:
    """`dssm.scores.normalise`: 1/2 + d / (2 (s + |d|)), d = values - threshold."""
    d, size, reach, share, half, whole = (f"{result}_{i}" for i in range(6))
    return [
        helper.make_node("Sub", [values, f"{kind}_threshold"], [d]),
        helper.make_node("Abs", [d], [size]),
        helper.make_node("Add", [size, f"{kind}_spread"], [reach]),
        helper.make_node("Div", [d, reach], [share]),
        helper.make_node("Mul", [share, "one_half"], [half]),
        helper.make_node("Add", [half, "one_half"], [whole]),
        helper.make_node("Cast", [whole], [result], to=TensorProto.FLOAT),
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says to its own developers while it exports."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _decompositions() -> dict[torch._ops.OpOverload, Callable]:
    """What the ops of this package are made of, and one of torch that ONNX has no operator for."""

    def reference(name: str) -> Callable:
        module = backends.load(name, "reference")
        assert isinstance(module, ModuleType)
        return lambda *arguments: getattr(module, name)(*arguments[:-1])  # the last argument is the backend

    table = {getattr(torch.ops.dssm, name).default: reference(name) for name in ops.__all__}
    return table | {torch.ops.aten.cdist.default: _distances}


def _distances(x: Tensor, y: Tensor, p: float = 2.0, _: int | None = None) -> Tensor:
    """Euclidean distances of all pairs of x (N, C) and y (M, C)."""
    if p != 2:
        raise NotImplementedError(f"distances of order {p}")
    squares = x.square().sum(-1, keepdim=True) + y.square().sum(-1).unsqueeze(-2) - 2 * x @ y.mT
    return squares.clamp_min(0).sqrt()


def _reason(error: BaseException) -> str:
    """The first line of what began it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).splitlines()[0]
