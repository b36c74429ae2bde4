"""Models that are not put to use: what is wrong with them, and that nothing else changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from services.recommendations.adapters import model_keeping, model_loading
from services.recommendations.domain.transitions import (
    canary,
    promote,
    rollback,
)
from tests.model_shelf_parts import Parts, prepare, refusals
from tests.recommendation_parts import listing
from tests.tiny_bundle import edit_golden, seal


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def parts(prepared: Path, tmp_path: Path) -> Parts:
    """A copy of it."""
    shutil.copytree(prepared, tmp_path / "copy")
    return Parts(tmp_path / "copy")


def spoil(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-1] + b"!")

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        spoil("encoder.onnx"),
        spoil("manifest.json"),
        lambda folder: (folder / "items.npy").unlink(),
        lambda folder: (folder / "manifest.json").unlink(),
    ],
)
async def test_a_damaged_bundle_is_refused(parts: Parts, damage: Callable[[Path], None]) -> None:
    """What answered goes on; it is counted and logged once, though it is looked at again."""
    before = refusals("refused")
    damage(parts.folder / "registry/demo/bundles/b")
    async with parts.running():
        with capture_logs() as logs:
            parts.change(partial(promote, version="b"))
            await parts.looks()
            await parts.looks()
        assert parts.versions() == {"served": "a"}
    assert refusals("refused") == before + 1
    (line,) = [each for each in logs if each["event"] == "model_refused"]
    assert (line["version"], line["role"], line["reason"]) == ("b", "served", "refused")


async def test_a_bundle_that_computes_something_else_is_refused(parts: Parts) -> None:
    """Its sums are right and its golden outputs are not."""
    folder = parts.bundle("d")
    with np.load(folder / "golden.npz") as file:
        queries = file["queries"]
    edit_golden(queries=queries + 1)(folder)
    seal(folder, version="d")
    parts.publish(folder)
    async with parts.running():
        parts.change(partial(canary, version="d", share=0.1))
        before = refusals("refused")
        await parts.looks()
        assert parts.versions() == {"served": "a"}
        assert refusals("refused") <= before + 1


async def test_a_bundle_that_was_repaired_is_taken(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been damaged on its way: after a while it is fetched anew."""
    monkeypatch.setattr(model_keeping, "AGAIN_SECONDS", 0.0)
    path = parts.folder / "registry/demo/bundles/b/items.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"!")
    async with parts.running():
        parts.change(partial(promote, version="b"))
        await parts.looks()
        assert parts.versions() == {"served": "a"}
        path.write_bytes(whole)
        await parts.until(served="b")


async def test_a_start_with_a_served_bundle_that_is_refused(parts: Parts) -> None:
    """The former one answers, as no other does."""
    parts.change(partial(promote, version="b"))
    spoil("items.npy")(parts.folder / "registry/demo/bundles/b")
    async with parts.running():
        assert parts.versions() == {"served": "a"}
        parts.change(partial(rollback, why="damaged"))
        await parts.looks()
        assert parts.versions() == {"served": "a"}


async def test_what_has_no_room_is_refused(tmp_path: Path) -> None:
    """More than the setting allows for all models together."""
    parts = Parts(tmp_path, most_mb=0)
    parts.publish(parts.bundle("a"))
    parts.change(partial(promote, version="a"))
    before = refusals("memory")
    async with parts.running():
        assert parts.versions() == {}
    assert refusals("memory") == before + 1


async def test_a_model_that_is_too_slow_is_refused(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer of it would hold up all others; its rows are free again."""
    async with parts.running():
        rows = parts.catalogs.of("demo").rows
        monkeypatch.setattr(model_loading, "SLOWEST_SECONDS", 0.0)
        parts.change(partial(promote, version="c"))
        await parts.looks()
        assert parts.versions() == {"served": "a"}
        catalog = parts.catalogs.of("demo")
        for number in range(catalog.rows - rows):
            catalog.put_product(f"new-{number}", listing("new"))
        assert catalog.rows == rows + 2
