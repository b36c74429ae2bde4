"""Models that are exchanged under way: what gets onto the shelf, and what stays."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from services.recommendations.adapters import model_loading
from services.recommendations.adapters.model import Model, Proven, prove
from services.recommendations.adapters.model_loading import History, expected_bytes, warm_up
from services.recommendations.domain.transitions import (
    canary,
    promote,
    rollback,
    shadow,
    stop_canary,
)
from services.shared.errors import StorageUnavailable
from services.shared.model_input import ACTIONS, PURCHASE, Interaction
from tests.model_shelf_parts import OTHERS, SECONDS, VECTORS, Parts, prepare
from tests.recommendation_parts import listing
from tests.tiny_bundle import edit_golden, seal
from tests.waiting import eventually_async

DID = [Interaction(1, "mug", PURCHASE)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def parts(prepared: Path, tmp_path: Path) -> Parts:
    """A copy of it."""
    shutil.copytree(prepared, tmp_path / "copy")
    return Parts(tmp_path / "copy")


def scores(parts: Parts, model: Model) -> dict[str, float]:
    """What the model gives each product of the catalogue that it has learned."""
    catalog = parts.catalogs.of("demo")
    reading = model.read(DID, 2)
    assert reading is not None
    names = {catalog.known_row(each): each for each in {**VECTORS, **OTHERS}}
    return {
        names[row]: float(score)
        for row, score in enumerate(reading.scores)
        if row in names and model.learned.has(row)
    }


async def test_what_is_promoted_answers(parts: Parts) -> None:
    """A server that starts has the served one; one that runs goes over to the next."""
    async with parts.running():
        assert parts.versions() == {"served": "a"}
        parts.change(partial(promote, version="b"))
        await parts.until(served="b")
        parts.change(partial(rollback, why="worse"))
        await parts.until(served="a")


async def test_a_model_of_other_products_takes_over(parts: Parts) -> None:
    """Its products are scored in the catalogue's rows; what it has not learned is not."""
    async with parts.running():
        assert scores(parts, parts.shelf.of("demo").served) == {"mug": 1, "cup": 1, "lamp": 0}
        parts.change(partial(promote, version="c"))
        await parts.until(served="c")
        found = scores(parts, parts.shelf.of("demo").served)
        assert found == {"rake": 0.5, "lamp": 0, "mug": 1, "spade": 0.5}


async def test_an_old_model_is_gone_at_once(parts: Parts) -> None:
    """Nothing holds it when another has taken over: its memory is free without a search."""
    async with parts.running():
        for target in ("c", "b"):
            gc.disable()
            try:
                old = weakref.ref(parts.shelf.of("demo").served)
                parts.change(partial(promote, version=target))
                await parts.until(served=target)
                await parts.looks()
                assert old() is None
            finally:
                gc.enable()


async def test_changes_of_the_catalogue_while_a_model_loads(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products listed, changed and removed meanwhile are as they are afterwards, too."""
    loading, go_on = threading.Event(), threading.Event()

    def slowly(folder: Path) -> Proven:
        loading.set()
        assert go_on.wait(20)
        return prove(folder)

    async with parts.running():
        catalog = parts.catalogs.of("demo")
        for product_id in ("mug", "lamp", "new"):
            catalog.put_product(product_id, listing(product_id))
        monkeypatch.setattr(model_loading, "prove", slowly)
        parts.change(partial(promote, version="c"))
        await eventually_async(lambda: asyncio.to_thread(loading.is_set), within=SECONDS)
        catalog.remove_product("mug")
        catalog.put_product("spade", listing("spade"))
        catalog.put_product("lamp", listing("another lamp"))
        catalog.put_product("newer", listing("newer"))
        go_on.set()
        await parts.until(served="c")
        listed = {each: catalog.row(each) for each in ("mug", "lamp", "new", "newer", "spade")}
        assert {each for each, row in listed.items() if row is None} == {"mug"}
        assert catalog.title_or_id("lamp") == "another lamp"
        assert scores(parts, parts.shelf.of("demo").served)["spade"] == 0.5


@pytest.mark.parametrize(
    "says", [StorageUnavailable("away"), PermissionError("no"), LookupError("no credentials")]
)
async def test_a_store_that_goes_away_and_comes_back(parts: Parts, says: Exception) -> None:
    """All stays as it is, which is said once; afterwards the newest document counts.

    Whatever a store's client calls it.
    """
    parts.storage.says = says
    async with parts.running():
        with capture_logs() as logs:
            parts.storage.is_away = True
            await parts.looks()
            assert parts.versions() == {"served": "a"}
            parts.storage.is_away = False
            parts.change(partial(promote, version="b"))
            await parts.until(served="b")
    said = [each["event"] for each in logs if each["event"].startswith("registry")]
    assert said == ["registry_not_read", "registry_read_again"]


async def test_a_start_while_the_store_is_away(parts: Parts) -> None:
    """What the cache holds answers, by the document that was last seen."""
    async with parts.running():
        pass
    again = Parts(parts.folder)
    again.storage.is_away = True
    async with again.running():
        assert again.versions() == {"served": "a"}


async def test_a_shop_that_has_published_nothing(tmp_path: Path) -> None:
    """It is settled all the same, and nobody's trouble; its first bundle is taken."""
    parts = Parts(tmp_path, shops=("demo", "other"))
    parts.publish(parts.bundle("a"))
    parts.change(partial(promote, version="a"))
    async with parts.running():
        assert parts.versions() == {"served": "a"}
        assert parts.versions("other") == {}
        assert parts.shelf.of("other").served.read(DID, 2) is None
        parts.publish(parts.folder / "made/a", "other")
        parts.change(partial(promote, version="a"), "other")
        await parts.until("other", served="a")
        assert parts.shelf.of("other").served is not parts.shelf.of("demo").served


async def test_roles_share_what_is_loaded(parts: Parts) -> None:
    """From the shadow to canary to served a bundle is loaded once."""
    async with parts.running():
        parts.change(partial(shadow, version="c", sample=0.5))
        await parts.until(served="a", shadow="c")
        first = parts.shelf.of("demo").shadow
        assert first is not None
        parts.change(partial(canary, version="c", share=0.1))
        await parts.until(served="a", canary="c")
        parts.change(partial(canary, version="c", share=0.3))
        await parts.looks()
        second = parts.shelf.of("demo").canary
        assert second is not None
        assert second.terms.share == 0.3
        parts.change(promote)
        await parts.until(served="c")
        assert parts.shelf.of("demo").served is second.model is first.model


async def test_a_canary_stopped_here_stays_so(parts: Parts) -> None:
    """Whatever an older document says; a newer one may bring it back."""
    parts.change(partial(canary, version="b", share=0.1))
    async with parts.running():
        await parts.until(served="a", canary="b")
        parts.shelf.stop_canary("demo", "b")
        assert parts.versions() == {"served": "a"}
        await parts.looks()
        assert parts.versions() == {"served": "a"}
        stopped = parts.change(partial(stop_canary, why="slow"))
        parts.shelf.document_follows("demo", stopped.number)
        await parts.looks()
        assert parts.versions() == {"served": "a"}
        parts.change(partial(canary, version="b", share=0.1))
        await parts.until(served="a", canary="b")


async def test_a_new_model_reads_what_the_last_one_read(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It warms up with the newest histories; where there are none, with its golden inputs."""
    told: list[Sequence[History]] = []

    def noting(model: Model, histories: Sequence[History]) -> None:
        told.append(histories)
        warm_up(model, histories)

    monkeypatch.setattr(model_loading, "warm_up", noting)
    async with parts.running():
        assert len(told[0]) == 32
        assert {each.product_id for did, _ in told[0] for each in did} == set(VECTORS)
        for number in range(100):
            parts.shelf.remember("demo", DID, number)
        parts.change(partial(promote, version="b"))
        await parts.until(served="b")
        assert [now for _, now in told[1]] == list(range(36, 100))


async def test_golden_inputs_of_every_action_warm_up(tmp_path: Path) -> None:
    """Also of searches, which have no product in a shopper's history and one in golden inputs."""
    parts = Parts(tmp_path)
    folder = parts.bundle("a")
    with np.load(folder / "golden.npz") as file:
        items = file["items"]
    kinds = np.arange(len(items))[:, None] % len(ACTIONS)
    edit_golden(actions=np.where(items > 0, kinds, 0).astype(np.int64))(folder)
    seal(folder, version="a")
    parts.publish(folder)
    parts.change(partial(promote, version="a"))
    async with parts.running():
        assert parts.versions() == {"served": "a"}


def test_memory_is_judged_by_files(tmp_path: Path) -> None:
    """Vectors of float16 take twice and a half as much in memory, with their lengths."""
    (tmp_path / "items.npy").write_bytes(b"1" * 1_000)
    (tmp_path / "codes.npy").write_bytes(b"1" * 1_000)
    (tmp_path / "card.html").write_bytes(b"1" * 1_000)
    assert expected_bytes(tmp_path) == 3_500
