"""The registry keeps its promises in a folder and in an object store."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from services.recommendations.adapters.bundle_cache import BundleCache
from services.recommendations.adapters.registry import Registry
from services.recommendations.domain.serving import NOTHING, Published, Serving
from services.recommendations.domain.transitions import Transition, canary, promote, publish
from services.shared.archive_storage import ArchiveStorage, LocalStorage
from services.shared.bundle import load_bundle
from services.shared.errors import BundleRefused, ServingRefused, StorageUnavailable
from tests.tiny_bundle import make_bundle, seal

VECTORS = {"mug": (1.0, 0.0), "cup": (1.0, 0.25), "lamp": (0.0, 1.0)}


@pytest.fixture
def registry(storage: ArchiveStorage) -> Registry:
    """An empty one."""
    return Registry(storage, lambda: 1_800_000_000_000_000)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle", VECTORS)


def change(registry: Registry, transition: Transition, what: str = "test") -> Serving:
    return registry.change("demo", transition, who="ana", what=what, why="to see")


def published(version: str) -> Published:
    digest = hashlib.sha256(version.encode()).hexdigest()
    return Published(version=version, manifest_sha256=digest)


def test_a_shop_without_a_document_has_nothing(registry: Registry) -> None:
    """It can be read, and has no history."""
    assert registry.serving("demo") == NOTHING
    assert list(registry.history("demo")) == []


def test_a_bundle_comes_back_as_it_was_published(
    registry: Registry, bundle: Path, tmp_path: Path
) -> None:
    """File by file; who fetches it can load it."""
    told = registry.upload("demo", bundle)
    (tmp_path / "fetched").mkdir()
    registry.fetch("demo", told, tmp_path / "fetched")
    assert load_bundle(tmp_path / "fetched").manifest == load_bundle(bundle).manifest
    assert told.version == "tiny-1"
    assert (
        told.manifest_sha256 == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    )


def test_a_version_stands_for_one_bundle(
    registry: Registry, storage: ArchiveStorage, bundle: Path
) -> None:
    """The same again is no error and completes what was cut off; another one is refused."""
    told = registry.upload("demo", bundle)
    storage.delete("demo/bundles/tiny-1/manifest.json")
    assert registry.upload("demo", bundle) == told
    make_bundle(bundle, {**VECTORS, "rake": (0.5, 0.5)})
    with pytest.raises(
        BundleRefused, match="with another content; a version stands for one bundle"
    ):
        registry.upload("demo", bundle)
    assert registry.upload("other", bundle).version == "tiny-1"


def test_what_happened_to_a_bundle_in_the_store_is_seen(
    registry: Registry, storage: ArchiveStorage, bundle: Path, tmp_path: Path
) -> None:
    """A file that has gone, and a manifest that is another one or leads elsewhere, are refused."""
    told = registry.upload("demo", bundle)
    (tmp_path / "to").mkdir()
    with pytest.raises(BundleRefused, match="not the one that was published"):
        registry.fetch("demo", published("tiny-1"), tmp_path / "to")
    storage.delete("demo/bundles/tiny-1/encoder.onnx")
    with pytest.raises(BundleRefused, match="a file has gone"):
        registry.fetch("demo", told, tmp_path / "to")
    seal(bundle, version="evil", files={"../../outside": "0" * 64})
    with pytest.raises(BundleRefused, match="names files that no bundle has"):
        registry.upload("demo", bundle)


def test_each_change_stands_in_the_history(registry: Registry, storage: ArchiveStorage) -> None:
    """Who, when, what, why, and what it led to; the document is the newest one's."""
    change(registry, partial(publish, bundle=published("a")), "publish a")
    last = change(registry, partial(promote, version="a"), "promote a")
    newest, first = registry.history("demo")
    assert (newest.who, newest.what, newest.why) == ("ana", "promote a", "to see")
    assert newest.at == 1_800_000_000_000_000
    assert newest.serving == last
    assert first.what == "publish a"
    assert json.loads(storage.read("demo/serving.json"))["served"] == "a"
    assert storage.names("demo/history") == ["00000001.json", "00000002.json"]


def test_nothing_to_do_writes_nothing(registry: Registry, storage: ArchiveStorage) -> None:
    """A change that changes nothing is no line of the history."""
    for _ in range(2):
        change(registry, partial(publish, bundle=published("a")))
    assert storage.names("demo/history") == ["00000001.json"]


def test_a_document_that_was_not_written_is_caught_up_with(
    registry: Registry, storage: ArchiveStorage
) -> None:
    """A process that died between the history and the document: the history is the truth."""
    change(registry, partial(publish, bundle=published("a")))
    old = storage.read("demo/serving.json")
    promoted = change(registry, partial(promote, version="a"))
    storage.put("demo/serving.json", old)
    assert registry.serving("demo") == promoted
    storage.delete("demo/serving.json")
    assert registry.serving("demo") == promoted


def test_changes_at_the_same_time_all_count(tmp_path: Path) -> None:
    """Four threads publish five bundles each: none overwrites another's.

    In a folder: fsspec's memory is not made for threads.
    """
    registry = Registry(LocalStorage(tmp_path), lambda: 0)
    errors: list[Exception] = []

    def work(name: int) -> None:
        try:
            for number in range(5):
                bundle = published(f"v-{name}-{number}")
                change(registry, partial(publish, bundle=bundle))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    serving = registry.serving("demo")
    assert serving.number == len(serving.published) == 20


def test_a_change_is_decided_anew_after_another(registry: Registry) -> None:
    """What was true of the document before need not be true any more."""
    for version in ("a", "b"):
        change(registry, partial(publish, bundle=published(version)))
    change(registry, partial(promote, version="a"))
    tries = 0

    def too_late(serving: Serving) -> Serving:
        nonlocal tries
        tries += 1
        after = canary(serving, "b", 0.1)
        if tries == 1:
            change(registry, partial(promote, version="b"))
        return after

    with pytest.raises(ServingRefused, match="b is served to everybody already"):
        change(registry, too_late)
    assert tries == 2


def test_a_document_that_nobody_can_read(registry: Registry, storage: ArchiveStorage) -> None:
    """It is refused with its name, instead of being taken for an empty one."""
    storage.put("demo/serving.json", b'{"number": 1, "served": "../a"}')
    with pytest.raises(ServingRefused, match=r"demo/serving\.json cannot be read"):
        registry.serving("demo")


def test_notes_of_servers(registry: Registry) -> None:
    """The newest of each; none of a pair that nobody has compared."""
    registry.keep_note("demo", "b@a", "one", b"1")
    registry.keep_note("demo", "b@a", "two", b"2")
    registry.keep_note("demo", "b@a", "one", b"3")
    assert sorted(registry.notes("demo", "b@a")) == [b"2", b"3"]
    assert list(registry.notes("demo", "c@a")) == []


def fetch_into(calls: list[Path], size: int = 1_000) -> Callable[[Path], None]:
    def fetch(to: Path) -> None:
        calls.append(to)
        (to / "items.npy").write_bytes(b"1" * size)

    return fetch


def test_a_bundle_is_fetched_once(tmp_path: Path) -> None:
    """The second time it lies there; dropped, it is fetched anew."""
    cache, calls = BundleCache(tmp_path / "cache", most_bytes=10_000), list[Path]()
    place = cache.bundle("demo", published("a"), fetch_into(calls))
    assert cache.bundle("demo", published("a"), fetch_into(calls)) == place
    assert len(calls) == 1
    assert (place / "items.npy").exists()
    cache.drop(place)
    cache.bundle("demo", published("a"), fetch_into(calls))
    assert len(calls) == 2


def test_what_was_fetched_half_is_nobodys(tmp_path: Path) -> None:
    """Neither after an error nor after a kill."""
    cache = BundleCache(tmp_path / "cache", most_bytes=10_000)

    def fail(to: Path) -> None:
        (to / "items.npy").write_bytes(b"half")
        raise StorageUnavailable("gone")

    with pytest.raises(StorageUnavailable):
        cache.bundle("demo", published("a"), fail)
    assert list((tmp_path / "cache").iterdir()) == []
    (tmp_path / "cache/.fetching-left").mkdir()
    BundleCache(tmp_path / "cache", most_bytes=10_000)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_keeps_to_its_bytes(tmp_path: Path) -> None:
    """What was asked for least lately goes first, and never what is in use."""
    cache = BundleCache(tmp_path / "cache", most_bytes=2_500)
    places = [
        cache.bundle("demo", published(name), fetch_into([])) for name in ("a", "b", "c", "d")
    ]
    for order, place in enumerate(places):
        os.utime(place, (1_000 + order, 1_000 + order))
    cache.shrink([places[0]])
    assert [place.exists() for place in places] == [True, False, False, True]


def test_a_document_is_remembered(tmp_path: Path) -> None:
    """For a start while the store is away; what cannot be read is as if it were not there."""
    cache = BundleCache(tmp_path / "cache", most_bytes=10_000)
    assert cache.remembered("demo") is None
    serving = publish(NOTHING, published("a"))
    cache.remember("demo", serving)
    assert BundleCache(tmp_path / "cache", most_bytes=1).remembered("demo") == serving
    (tmp_path / "cache/demo.json").write_bytes(b"{")
    assert cache.remembered("demo") is None


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    """A file stands in its place: the error says where."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageUnavailable, match=r"cache at .*file/cache"):
        BundleCache(tmp_path / "file/cache", most_bytes=1)
