"""The Transformer as an ONNX graph whose bytes say nothing of when and where it was made."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model_export.modelling.model import Model
from services.shared.model_input import PURCHASE, TARGETS

OPSET = 20


class Serving(nn.Module):
    """The model as a server asks it: for what is bought next, at the end of the history."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        wanted = torch.tensor([[float(each == PURCHASE) for each in TARGETS]])
        self.register_buffer("wanted", wanted)

    def forward(self, vectors: Tensor, actions: Tensor, gaps: Tensor) -> Tensor:
        """Vectors [B,L,d], actions and gaps [B,L] → [B,d]."""
        query: Tensor = self.model(vectors, actions, gaps, self.wanted)
        return query


def onnx_bytes(model: Model) -> bytes:
    """The graph with inputs vectors, actions and gaps, and the output query; B may vary."""
    shape = model.shape
    length = shape.max_length
    example = (
        torch.zeros(2, length, shape.dimensions),
        torch.ones(2, length, dtype=torch.long),
        torch.zeros(2, length, dtype=torch.long),
    )
    batch = torch.export.Dim("batch", min=1, max=4096)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Serving(model).eval(),
            example,
            input_names=["vectors", "actions", "gaps"],
            output_names=["query"],
            dynamic_shapes=({0: batch}, {0: batch}, {0: batch}),
            opset_version=OPSET,
            dynamo=True,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    return _bare(program.model_proto).SerializeToString(deterministic=True)


def run(
    path: Path,
    vectors: NDArray[np.float32],
    actions: NDArray[np.int64],
    gaps: NDArray[np.int64],
) -> NDArray[np.float32]:
    """What ONNX Runtime makes of inputs, as a server would."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    feeds = {"vectors": vectors, "actions": actions, "gaps": gaps}
    query: NDArray[np.float32] = session.run(["query"], feeds)[0]
    return query


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
