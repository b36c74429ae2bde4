"""What the server is measured beside: a bare call, and a server as one would first write it.

``python -m tests.bench.serve.controls echo`` answers every call with the same bytes, by grpc.aio on
uvloop as ours does; ``… echo-asyncio`` on asyncio's own loop, and ``… echo-threads`` by gRPC's
threaded server. ``… naive`` reads the profile, runs the graph as it was exported (float32, nothing
fused), multiplies the whole table and sorts all scores.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as ours; NumPy reads it when it is imported

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc
import msgspec
import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
import uvloop
from attune.recommendations.v1 import recommendation_service_pb2 as pb
from redis.asyncio import Redis

from services.shared import profile_codec
from services.shared.model_input import Vocabulary, encode, interactions
from services.shared.subject import event_key, profile_redis_key, subject_of
from tests.bench.serve.world import SHOP

SERVICE: Final = "attune.recommendations.v1.RecommendationService"
ECHOES: Final = ("echo", "echo-asyncio", "echo-threads")
THREADS: Final = 16
ECHOED: Final = 1_500
"""Bytes; about what ten products take."""


class Setup(msgspec.Struct, frozen=True):
    """What a control is told, as JSON on its standard input."""

    port: int
    redis_url: str = ""
    bundle: str = ""


class Naive:
    """A bundle's parts, put together without a thought of speed."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        self._graph = onnxruntime.InferenceSession(str(folder / "encoder.onnx"), options)
        self._table = np.load(folder / "items.npy").astype(np.float32)
        self._vocabulary = Vocabulary(json.loads((folder / "vocabulary.json").read_text()))
        settings = json.loads((folder / "settings.json").read_text())
        self._length, self._wanted = settings["max_length"], settings["wanted"]
        self._redis = Redis.from_url(redis_url)

    async def recommend(self, request: bytes, context: Any) -> bytes:
        """The ten products with the greatest product of query and vector."""
        asked = pb.RecommendRequest.FromString(request)
        key = profile_redis_key(event_key(SHOP, subject_of(asked.user_id, "")))
        profile = profile_codec.decode(await self._redis.get(key) or b"")  # type: ignore[arg-type]  # no text is asked for
        found = encode(interactions(profile), self._vocabulary, max_length=self._length)
        told = {
            "vectors": self._table[found.items][None],
            "actions": found.actions[None],
            "gaps": found.gaps[None],
            "wanted": np.array([self._wanted], np.float32),
        }
        (query,) = self._graph.run(["query"], told)
        scores = self._table @ query[0]
        rows = np.argsort(-scores[1:])[: asked.limit] + 1
        products = [
            pb.RankedProduct(product_id=self._vocabulary.product_id(row), score=scores[row])
            for row in rows.tolist()
        ]
        return pb.RecommendResponse(products=products).SerializeToString()


async def _echo(request: bytes, context: Any) -> bytes:  # noqa: ARG001 - gRPC's
    return b"x" * ECHOED


def _echoed(request: bytes, context: Any) -> bytes:  # noqa: ARG001 - gRPC's
    return b"x" * ECHOED


async def serve(setup: Setup, kind: str) -> None:
    """Serve until killed."""
    method = _echo
    if kind == "naive":
        method = Naive(Path(setup.bundle), setup.redis_url).recommend
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_handler(method),))
    server.add_insecure_port(f"127.0.0.1:{setup.port}")
    await server.start()
    await server.wait_for_termination()


def serve_by_threads(setup: Setup) -> None:
    """Serve until killed."""
    server = grpc.server(ThreadPoolExecutor(THREADS))
    server.add_generic_rpc_handlers((_handler(_echoed),))
    server.add_insecure_port(f"127.0.0.1:{setup.port}")
    server.start()
    server.wait_for_termination()


def _handler(method: Any) -> grpc.GenericRpcHandler[bytes, bytes]:
    handler = grpc.unary_unary_rpc_method_handler(method)
    return grpc.method_handlers_generic_handler(SERVICE, {"Recommend": handler})


def main() -> None:
    """Read the setup, and serve."""
    setup = msgspec.json.decode(sys.stdin.buffer.read(), type=Setup)
    match sys.argv[1]:
        case "echo":
            uvloop.run(serve(setup, "echo"))
        case "echo-threads":
            serve_by_threads(setup)
        case kind:
            asyncio.run(serve(setup, kind))


if __name__ == "__main__":
    main()
