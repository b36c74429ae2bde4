"""Another model out of a bundle that is there: the same encoder, scores blended otherwise.

Training takes torch and half an hour; what the demo needs is a bundle that is whole, answers
otherwise, and is told apart. So this one weighs likeness to the history anew, says nothing of how
good it is, as nobody has measured that, and is sealed by the sums of its files.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from services.shared.bundle import MANIFEST, Manifest
from services.shared.bundle_files import sha256_of
from services.shared.bundle_settings import ModelSettings

SETTINGS: Final = "settings.json"
REPORT: Final = "report.json"
CARDS: Final = ("card.md", "card.html")
"""They are about the model as it was measured."""


def reblended(bundle: Path, to: Path, *, factor: float) -> str:
    """Write ``bundle`` with ``factor`` times the weight of neighbours to ``to``; its version."""
    shutil.copytree(bundle, to)
    settings = msgspec.json.decode((to / SETTINGS).read_bytes(), type=ModelSettings)
    blend = replace(settings.blend, neighbours=settings.blend.neighbours * factor)
    (to / SETTINGS).write_bytes(msgspec.json.encode(replace(settings, blend=blend)))
    (to / REPORT).write_bytes(b"{}")
    for name in CARDS:
        (to / name).unlink(missing_ok=True)
    return _seal(to, factor)


def _seal(folder: Path, factor: float) -> str:
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    files = {name: sha256_of(folder / name) for name in manifest.files if name not in CARDS}
    whole = hashlib.sha256("".join(files.values()).encode()).hexdigest()
    sealed = replace(
        manifest,
        version=f"reblended-{whole[:12]}",
        created_from={"bundle": manifest.version, "neighbours_times": factor},
        metrics={},
        files=files,
    )
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(sealed)))
    return sealed.version
