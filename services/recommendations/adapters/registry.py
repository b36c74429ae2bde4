"""The registry: a shop's bundles and the document that says which of them does what.

::

    <shop>/bundles/<version>/…            a bundle, for ever as it was published
    <shop>/serving.json                   the document, services.recommendations.domain.serving
    <shop>/history/00000042.json          the 42nd change: who, when, what, why, and what it led to
    <shop>/shadow/<pair>/<process>.json   how two bundles compare, as one server has seen it

It lies in a folder or in an object store. A change is made by *creating* its file in the history,
which of two who want the same number succeeds for one; the other reads again and decides anew. So
the history is the truth, and ``serving.json`` a copy of its last document, for people and to find
the end soon: who reads it looks whether there is a later change. A store without compare-and-set
will do, if only it refuses to create what is there.

All methods wait for the store: call them in a thread. They raise StorageUnavailable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from services.recommendations.domain.serving import NOTHING, Change, Published, Serving
from services.recommendations.domain.transitions import Transition
from services.shared.archive_storage import ArchiveStorage
from services.shared.bundle import FILES, MANIFEST, Manifest
from services.shared.errors import BundleRefused, ServingRefused, StorageUnavailable

SERVING: Final = "serving.json"
TRIES: Final = 100
"""Others who change the same document at the same time may win so often."""

T = TypeVar("T")


class Registry:
    """The bundles of all shops in one storage."""

    def __init__(self, storage: ArchiveStorage, now_micros: Callable[[], int]) -> None:
        self._storage = storage
        self._now = now_micros

    def serving(self, shop_id: str) -> Serving:
        """The newest document; :data:`NOTHING` of a shop without one. Raises ServingRefused."""
        path = f"{shop_id}/{SERVING}"
        found = self._read(path, Serving) or NOTHING
        for number in count(found.number + 1):
            change = self._read(_history(shop_id, number), Change)
            if change is None:
                return found
            found = change.serving
        raise AssertionError("count() has no end")

    def change(
        self, shop_id: str, transition: Transition, *, who: str, what: str, why: str
    ) -> Serving:
        """Go over to what ``transition`` makes of the newest document, and answer that.

        Where it has nothing to do, nothing is written. Raises ServingRefused.
        """
        for _ in range(TRIES):
            before = self.serving(shop_id)
            after = self.change_from(before, shop_id, transition, who=who, what=what, why=why)
            if after is not None:
                return after
        raise StorageUnavailable(f"{shop_id}: {TRIES} times another change was quicker")

    def change_from(
        self,
        before: Serving,
        shop_id: str,
        transition: Transition,
        *,
        who: str,
        what: str,
        why: str,
    ) -> Serving | None:
        """The same for the document ``before`` alone: None where it is no longer the newest."""
        after = transition(before)
        if after == before:
            return before
        change = Change(at=self._now(), who=who, what=what, why=why, serving=after)
        if not self._storage.create(_history(shop_id, after.number), _written(change)):
            return None
        self._storage.put(f"{shop_id}/{SERVING}", _written(after))
        return after

    def history(self, shop_id: str) -> Iterator[Change]:
        """The changes, newest first. Raises ServingRefused."""
        for number in range(self.serving(shop_id).number, 0, -1):
            change = self._read(_history(shop_id, number), Change)
            if change is not None:
                yield change

    def upload(self, shop_id: str, folder: Path) -> Published:
        """Put a bundle, which the caller has proven, beside the others; it is named nowhere yet.

        A file that is there already must be the same: so an upload that was cut off goes on, and
        one of another bundle under the same version is refused (BundleRefused).
        """
        content = (folder / MANIFEST).read_bytes()
        manifest = _manifest(f"{folder / MANIFEST}", content)
        # The manifest last: what has one is whole.
        for name in (*manifest.files, MANIFEST):
            self._upload_file(_bundle(shop_id, manifest.version), folder, name)
        return Published(
            version=manifest.version, manifest_sha256=hashlib.sha256(content).hexdigest()
        )

    def fetch(self, shop_id: str, bundle: Published, to: Path) -> None:
        """Copy a bundle into a folder that is there and empty.

        Raises BundleRefused where a file is gone, or the manifest is not the one that was
        published; whether the other files are the manifest's is seen when it is loaded.
        """
        source = _bundle(shop_id, bundle.version)
        try:
            content = self._storage.read(f"{source}/{MANIFEST}")
            if hashlib.sha256(content).hexdigest() != bundle.manifest_sha256:
                raise BundleRefused(f"{source}/{MANIFEST} is not the one that was published")
            for name in _manifest(f"{source}/{MANIFEST}", content).files:
                self._storage.fetch(f"{source}/{name}", to / name)
        except FileNotFoundError as error:
            raise BundleRefused(f"{source}: a file has gone: {error}") from error
        (to / MANIFEST).write_bytes(content)

    def keep_note(self, shop_id: str, pair: str, process: str, content: bytes) -> None:
        """Keep what a server has seen of two bundles, in place of what it said before."""
        self._storage.put(f"{shop_id}/shadow/{pair}/{process}.json", content)

    def notes(self, shop_id: str, pair: str) -> Iterator[bytes]:
        """What each server has seen of two bundles."""
        for name in self._storage.names(f"{shop_id}/shadow/{pair}"):
            yield self._storage.read(f"{shop_id}/shadow/{pair}/{name}")

    def _upload_file(self, to: str, folder: Path, name: str) -> None:
        content = (folder / name).read_bytes()
        path = f"{to}/{name}"
        if self._storage.create(path, content) or self._storage.read(path) == content:
            return
        raise BundleRefused(
            f"{path} is there already, with another content; a version stands for one bundle for "
            "ever, so export this one anew"
        )

    def _read(self, path: str, kind: type[T]) -> T | None:
        try:
            return msgspec.json.decode(self._storage.read(path), type=kind)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ServingRefused(f"{path} cannot be read: {error}") from error


def pair_of(served: str, shadow: str) -> str:
    """The name of what is known of two bundles beside each other."""
    return f"{shadow}@{served}"


def _bundle(shop_id: str, version: str) -> str:
    return f"{shop_id}/bundles/{version}"


def _history(shop_id: str, number: int) -> str:
    return f"{shop_id}/history/{number:08}.json"


def _written(document: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"


def _manifest(where: str, content: bytes) -> Manifest:
    """A manifest that names files of a bundle only, and so no path outside of it."""
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleRefused(f"{where}: {error}") from error
    if odd := manifest.files.keys() - set(FILES):
        raise BundleRefused(f"{where} names files that no bundle has: {', '.join(sorted(odd))}")
    return manifest
