"""A graph of a bundle in ONNX Runtime, held to the inputs that it must take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
from numpy.typing import NDArray

from services.shared.errors import BundleRefused
from services.shared.item_vectors import Floats

FLOATS: Final = "tensor(float)"
INTEGERS: Final = "tensor(int64)"


class Tensor(NamedTuple):
    """An input's type, and its last dimension: a number, or what is left open."""

    kind: str
    last: int | str | None


class Graph:
    """A graph on one thread, with one output; safe to call from several threads."""

    def __init__(self, path: Path, inputs: Mapping[str, Tensor], output: str) -> None:
        """Load the graph.

        Raises BundleRefused where ONNX Runtime cannot, or where it takes other ``inputs``.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(),
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=False,
            )
            found = {
                each.name: Tensor(each.type, each.shape[-1] if each.shape else None)
                for each in self._session.get_inputs()
            }
            outputs = {each.name for each in self._session.get_outputs()}
        except Exception as error:  # its own classes share no root
            raise BundleRefused(f"{path}: ONNX Runtime cannot load it: {error}") from error
        if set(found) != set(inputs):
            raise BundleRefused(
                f"{path}: the graph takes {sorted(found)}, not {', '.join(sorted(inputs))}"
            )
        for name, expected in inputs.items():
            kind, last = found[name]
            if kind != expected.kind or (isinstance(last, int) and last != expected.last):
                raise BundleRefused(
                    f"{path}: the graph's {name} is {kind} [..., {last}], expected "
                    f"{expected.kind} [..., {expected.last}]"
                )
        if output not in outputs:
            raise BundleRefused(f"{path}: the graph has no output {output}")
        self._output = output

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Floats:
        """The output for these inputs, as float32. Raises what ONNX Runtime does."""
        (found,) = self._session.run([self._output], dict(feeds))
        return np.asarray(found, dtype=np.float32)
