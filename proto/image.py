"""Compile the contracts into one image, which buf and protoc can read without a network.

``python proto/image.py build/contracts.binpb`` writes our files with all that they import, and
the details that errors carry: one file from which a client in any language is generated.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from generate import ROOT, contracts, include_options
from grpc_tools import protoc

DETAILS: Final = ("google/rpc/error_details.proto", "google/rpc/status.proto")
"""What errors carry: no contract imports it, as gRPC sends it beside the answers."""


def write_image(target: Path, *, comments: bool, root: Path = ROOT) -> None:
    """Write the image of the contracts in ``root``. Raises SystemExit with protoc's status."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = ["--include_source_info"] if comments else []
    output = ["--include_imports", *source, f"--descriptor_set_out={target}"]
    files = [*map(str, contracts(root)), *DETAILS]
    status = protoc.main(["protoc", *include_options(root), *output, *files])
    if status != 0:
        raise SystemExit(status)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, help="the file to write")
    write_image(parser.parse_args().target, comments=True)
