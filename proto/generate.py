"""Generate typed Python from ``proto/`` into a folder: ``python proto/generate.py build/gen``.

Messages and services of ``attune`` come with stubs for mypy. ``buf.validate`` is generated
too, as the contracts' limits are options of its types; ``google.type`` and ``google.rpc``
come from ``googleapis-common-protos``.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import grpc_tools
from google import rpc
from grpc_tools import protoc

ROOT = Path(__file__).parent
THIRD_PARTY = "third_party"


def contracts(root: Path = ROOT) -> list[Path]:
    """Our own files, relative to ``root``."""
    return sorted(path.relative_to(root) for path in (root / "attune").rglob("*.proto"))


def include_options(root: Path = ROOT) -> list[str]:
    """What tells protoc where to find our files and those that they import."""
    google_types = Path(next(iter(rpc.__path__))).parents[1]
    google_core = Path(next(iter(grpc_tools.__path__))) / "_proto"
    folders = (root, root / THIRD_PARTY, google_core, google_types)
    return [f"-I{folder}" for folder in folders]


def generate(target: Path) -> None:
    """Replace ``target`` by code generated anew. Raises SystemExit with protoc's status."""
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    ours = contracts()
    apart = ROOT / THIRD_PARTY
    theirs = sorted(path.relative_to(apart) for path in apart.rglob("*.proto"))
    status = protoc.main(
        [
            "protoc",
            *include_options(),
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet:{target}",
            *map(str, ours + theirs),
        ]
    )
    if status != 0:
        raise SystemExit(status)
    for package in {folder for file in ours + theirs for folder in file.parents} - {Path()}:
        (target / package / "__init__.py").touch()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    generate(Path(sys.argv[1]))
