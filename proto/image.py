"""Compile the contracts into one image, which buf can read without a network.

``python proto/image.py build/contracts.binpb`` writes our files with all that they import;
``--bare`` leaves the comments out, as in ``proto/baseline/``, which releases are compared to.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from generate import contracts, include_options
from grpc_tools import protoc


def write_image(target: Path, *, comments: bool) -> None:
    """Write the image. Raises SystemExit with protoc's status."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = ["--include_source_info"] if comments else []
    output = ["--include_imports", *source, f"--descriptor_set_out={target}"]
    status = protoc.main(["protoc", *include_options(), *output, *map(str, contracts())])
    if status != 0:
        raise SystemExit(status)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, help="the file to write")
    parser.add_argument("--bare", action="store_true", help="leave the comments out")
    told = parser.parse_args()
    write_image(told.target, comments=not told.bare)
