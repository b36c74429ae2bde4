"""What contract tests of several modules share: empty archives."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from services.shared.archive_storage import ArchiveStorage, open_storage
from tests.archive_parts import (
    Roots,
)


@pytest.fixture(params=["local", "memory"])
def roots(request: pytest.FixtureRequest, tmp_path: Path) -> Roots:
    """Answers an empty root each time."""
    if request.param == "local":
        return lambda: str(tmp_path / secrets.token_hex(4))
    return lambda: f"memory://{secrets.token_hex(8)}"


@pytest.fixture
def storage(roots: Roots) -> ArchiveStorage:
    """An empty storage."""
    return open_storage(roots())
