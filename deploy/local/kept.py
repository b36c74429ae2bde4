"""What a stack keeps in its folder from one start to the next, and how that is removed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from deploy.local.services import MASTER_KEY
from deploy.local.state import stop_recorded
from deploy.local.supervised import StackFailed

SCENARIOS: Final = "scenarios"
"""The folder of the shop's documents, which an operator may edit."""
REGISTRY: Final = "registry"
MODEL_CACHE: Final = "model-cache"
SECOND_BUNDLE: Final = "second-bundle"
REPORTS: Final = "reports"

KEPT: Final = (
    "kafka",
    "redis",
    MASTER_KEY,
    SCENARIOS,
    REGISTRY,
    MODEL_CACHE,
    SECOND_BUNDLE,
    REPORTS,
    "profiles-worker.log",
    "recommendations-server.log",
    "events-server.log",
    "archive",
    "archive.log",
    "attribution.log",
)
"""What a stack keeps in its folder from one start to the next."""

MARK: Final = ".attune-stack"
"""The file that says that a folder is a stack's."""


def mark(folder: Path) -> None:
    """Say that a folder is a stack's, whose data may be removed; it is made if absent."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text("Made by python -m deploy.local, which may remove it.\n")


def check_folder(folder: Path) -> list[Path]:
    """What a stack of ours has kept in ``folder``.

    Raises StackFailed where there is something by such a name that none has put there.
    """
    kept = [folder / name for name in KEPT if (folder / name).exists()]
    if kept and not (folder / MARK).exists():
        raise StackFailed(f"{kept[0]} is not a stack's: name another --folder, or move it away")
    return kept


def forget_data(folder: Path) -> None:
    """Stop a stack of ``folder`` that still runs, and remove what it has kept.

    Raises StackFailed, see :func:`check_folder`.
    """
    stop_recorded(folder)
    for path in check_folder(folder):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
