"""A model's parts as ONNX graphs whose bytes say nothing of when and where they were made."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping
from typing import Final

import onnx
import torch
from torch import Tensor, nn

from model_export.modelling.item_table import ContentTower, unit
from model_export.modelling.model import Model
from services.shared.model_input import TARGETS

OPSET: Final = 20
MOST_AT_ONCE: Final = 4096


def encoder_bytes(model: Model) -> bytes:
    """The graph from vectors, actions, gaps and wanted to the query."""
    shape = model.shape
    inputs = {
        "vectors": torch.zeros(2, shape.max_length, shape.dimensions),
        "actions": torch.ones(2, shape.max_length, dtype=torch.long),
        "gaps": torch.zeros(2, shape.max_length, dtype=torch.long),
        "wanted": torch.zeros(2, len(TARGETS)),
    }
    return _graph_bytes(model, inputs, "query")


def tower_bytes(tower: ContentTower, *, most_features: int) -> bytes:
    """The graph from features and, where the tower reads any, text to the vector."""
    inputs = {"features": torch.zeros(2, most_features, dtype=torch.long)}
    if tower.text is not None:
        inputs["text"] = torch.zeros(2, tower.text.in_features)
    return _graph_bytes(Placing(tower), inputs, "vector")


class Placing(nn.Module):
    """The content tower as a server asks it: for the unit vector of a product without an id."""

    def __init__(self, tower: ContentTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, features: Tensor, text: Tensor | None = None) -> Tensor:
        """Features [B,F] and, where the tower reads any, text [B,k] → [B,d]."""
        if text is None:
            return unit(self.tower.features(features).sum(-2))
        return unit(self.tower(features, text))


def _graph_bytes(module: nn.Module, inputs: Mapping[str, Tensor], output: str) -> bytes:
    """The graph of a module called with ``inputs`` in their order; the batch may vary."""
    batch = torch.export.Dim("batch", min=1, max=MOST_AT_ONCE)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            opset_version=OPSET,
            dynamo=True,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    return _bare(program.model_proto).SerializeToString(deterministic=True)


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without notes on source lines, intermediate shapes and the exporter."""
    model.doc_string = ""
    model.graph.doc_string = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for part in (model.graph.node, model.graph.input, model.graph.output, model.graph.initializer):
        for each in part:
            each.doc_string = ""
            del each.metadata_props[:]
    onnx.checker.check_model(model)
    return model
