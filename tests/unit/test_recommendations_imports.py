"""What the server must not carry."""

from __future__ import annotations

import subprocess
import sys


def test_serving_imports_nothing_of_training() -> None:
    """The entry point imports no torch, polars, pandas, onnx or Faust."""
    code = (
        "import sys, services.recommendations.__main__\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = set(done.stdout.split())
    assert {"numpy", "grpc", "aiokafka"} <= loaded
    assert not loaded & {"torch", "polars", "pandas", "onnx", "faust", "model_export"}
