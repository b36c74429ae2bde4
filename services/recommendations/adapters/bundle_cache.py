"""Bundles of the registry in a folder of the server's own, within a number of bytes.

A bundle is fetched into a folder beside and gets its name when it is whole, so what a kill leaves
is nobody's and is swept at the next start. A folder belongs to one process.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import msgspec

from services.recommendations.domain.serving import Published, Serving
from services.shared.errors import StorageUnavailable

FETCHING: Final = ".fetching-"
"""What names of folders start with that are not whole."""

Fetch = Callable[[Path], None]
"""Copies a bundle into an empty folder."""


class BundleCache:
    """See the module. All methods but the first may take long: call them in a thread."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        """``folder`` is made where it is not there. Raises StorageUnavailable."""
        self._folder = folder
        self._most = most_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(FETCHING + "*"):
                shutil.rmtree(left)
        except OSError as error:
            raise StorageUnavailable(f"cache at {folder}: {error.strerror}") from error

    def bundle(self, shop_id: str, bundle: Published, fetch: Fetch) -> Path:
        """Where a bundle lies, fetched if need be. Raises what ``fetch`` does."""
        path = self.place(shop_id, bundle)
        try:
            if not path.is_dir():
                self._fetch(path, fetch)
            os.utime(path)
        except FileNotFoundError as error:
            raise StorageUnavailable(f"{path} was removed by somebody else") from error
        except OSError as error:
            raise StorageUnavailable(f"cache at {self._folder}: {error.strerror}") from error
        return path

    def place(self, shop_id: str, bundle: Published) -> Path:
        """The folder that is a bundle's, whether it is there or not."""
        return self._folder / f"{shop_id}@{bundle.version}@{bundle.manifest_sha256[:16]}"

    def drop(self, path: Path) -> None:
        """Remove a bundle that was refused: it may have been damaged on its way."""
        shutil.rmtree(path, ignore_errors=True)

    def shrink(self, keep: Collection[Path]) -> None:
        """Remove what was asked for least lately until the rest is small enough; never ``keep``."""
        found = [each for each in self._folder.iterdir() if each.is_dir()]
        sizes = {each: bytes_of(each) for each in found}
        total = sum(sizes.values())
        for each in sorted(sizes.keys() - set(keep), key=lambda path: path.stat().st_mtime):
            if total <= self._most:
                return
            shutil.rmtree(each, ignore_errors=True)
            total -= sizes[each]

    def remember(self, shop_id: str, serving: Serving) -> None:
        """Keep a document for a start while the store is away; a full disk is no trouble here."""
        path = self._folder / f"{shop_id}.json"
        new = path.with_suffix(f".{secrets.token_hex(4)}")
        try:
            new.write_bytes(msgspec.json.encode(serving))
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)

    def remembered(self, shop_id: str) -> Serving | None:
        """The document that was last seen, if there is one that can be read."""
        try:
            return msgspec.json.decode(
                (self._folder / f"{shop_id}.json").read_bytes(), type=Serving
            )
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _fetch(self, path: Path, fetch: Fetch) -> None:
        fetching = self._folder / (FETCHING + secrets.token_hex(8))
        fetching.mkdir()
        try:
            fetch(fetching)
            fetching.rename(path)
        finally:
            shutil.rmtree(fetching, ignore_errors=True)


def bytes_of(folder: Path) -> int:
    """Of all files in a folder."""
    return sum(each.stat().st_size for each in folder.iterdir())
