"""Attention of the exported graphs: softmax(QKᵀ/√d_k + mask)V, computed by ONNX Runtime.

Equation 1 of "Attention Is All You Need" (Vaswani et al., 2017), for our own layers and for
those of ``torch.nn.Transformer`` alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
import pytest
import torch
from numpy.typing import NDArray

from model_export.exporting.graph import encoder_bytes
from model_export.modelling.model import Model
from model_export.settings import train_settings
from services.shared.model_input import ACTIONS, GAP_BUCKETS, TARGETS

LENGTH, BATCH = 12, 5
ATTENTIONS = {"causal": 2 + 1, "encoder-decoder": 2 + 2 * 2}
"""Layers, and one that points back; layers, and two for each layer of the decoder."""

Array = NDArray[np.float64]


@pytest.mark.parametrize("kind", list(ATTENTIONS))
def test_exported_attention_is_the_papers(kind: str) -> None:
    """Each one in the graph, on random weights and inputs."""
    graph = onnx.load_model_from_string(encoder_bytes(random_model(kind)))
    found = list(attentions(graph))
    assert len(found) == ATTENTIONS[kind]
    values = run(graph, {name for each in found for name in each})
    for query, key, bias, value, output in found:
        q, k, b, v, out = (
            values[name].astype(np.float64) for name in (query, key, bias, value, output)
        )
        assert v.std() > 0.01
        np.testing.assert_allclose(out, attention(q, k, b, v), rtol=1e-3, atol=1e-5)


def attention(query: Array, keys: Array, bias: Array, value: Array) -> Array:
    """softmax(QKᵀ/√d_k + bias)V; ``keys`` stand in columns already."""
    scores = query @ keys / np.sqrt(query.shape[-1]) + bias
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    answer: Array = shares / shares.sum(-1, keepdims=True) @ value
    return answer


def random_model(kind: str) -> Model:
    """Two layers and two heads, no parameter where training begins."""
    torch.manual_seed(3)
    told = {"architecture": kind, "dimensions": 16, "max_length": LENGTH, "layers": 2}
    shape = train_settings({**told, "recall": kind == "causal"}).shape(
        products=9, features=0, text=0
    )
    no_content = torch.zeros(10, 0, dtype=torch.int32), torch.zeros(10, 0, dtype=torch.float16)
    model = Model(shape, torch.ones(10, dtype=torch.bool), *no_content)
    with torch.no_grad():
        for each in model.parameters():
            each.copy_(torch.randn_like(each) / 3)
    return model


def attentions(model: onnx.ModelProto) -> Iterator[tuple[str, str, str, str, str]]:
    """Names of query, key, bias, value and output of each softmax whose shares weigh values."""
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type != "Softmax":
            continue
        (mixing,) = (each for each in model.graph.node if node.output[0] in each.input)
        added = makers[node.input[0]]
        assert (mixing.op_type, added.op_type) == ("MatMul", "Add")
        scores, bias = added.input
        product = makers[scores]
        if product.op_type == "Div":  # the scores are divided at once,
            query, key = makers[product.input[0]].input
        else:  # or each side by the root
            query, key = (makers[side].input[0] for side in product.input)
        yield query, key, bias, mixing.input[1], mixing.output[0]


def run(model: onnx.ModelProto, names: set[str]) -> Mapping[str, NDArray[np.float32]]:
    """What the graph computes under these names for random histories."""
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    random = np.random.default_rng(5)
    inputs = {
        "vectors": random.standard_normal((BATCH, LENGTH, 16)).astype(np.float32),
        "actions": random.integers(1, len(ACTIONS), (BATCH, LENGTH)),
        "gaps": random.integers(0, GAP_BUCKETS, (BATCH, LENGTH)),
        "wanted": random.random((BATCH, len(TARGETS))).astype(np.float32),
    }
    taken = {each.name: inputs[each.name] for each in session.get_inputs()}
    return dict(zip(sorted(names), session.run(sorted(names), taken), strict=True))
