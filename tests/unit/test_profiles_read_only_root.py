"""The worker runs where nothing may be written."""

from __future__ import annotations

from pathlib import Path

import faust
import pytest

from services.profiles.adapters.stream import make_app
from services.profiles.settings import Settings


def test_faust_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust would make folders for tables where the process starts; the worker's app makes none."""
    monkeypatch.chdir(tmp_path)
    assert callable(faust.App._create_directories), "Faust makes its folders elsewhere now"
    make_app(
        Settings(kafka_servers="k:1", redis_url="redis://r", master_key_file="f")
    )._create_directories()
    assert list(tmp_path.iterdir()) == []
