"""A local folder and an object store keep the same promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.shared.archive_keys import Erased, KeyFiles
from services.shared.archive_storage import ArchiveStorage, LocalStorage, open_storage
from services.shared.errors import BadSetting, StorageUnavailable


def test_what_is_put_is_there(storage: ArchiveStorage) -> None:
    storage.put("a/b/one", b"1")
    storage.put("a/b/two", b"2")
    assert storage.names("a/b") == ["one", "two"]
    assert storage.names("a") == ["b"]
    assert storage.names("nowhere") == []
    assert storage.read("a/b/two") == b"2"


def test_what_is_not_there(storage: ArchiveStorage) -> None:
    """Reading says so; removing and moving have nothing to do."""
    for reading in (storage.read, storage.source):
        with pytest.raises(FileNotFoundError):
            reading("a/none")
    storage.delete("a/none")
    storage.put("a/one", b"1")
    storage.move("a/none", "a/some")
    assert storage.names("a") == ["one"]


def test_of_two_who_create_one_succeeds(storage: ArchiveStorage) -> None:
    assert storage.create("log/0", b"first")
    assert not storage.create("log/0", b"second")
    assert storage.read("log/0") == b"first"


def test_what_is_put_again_is_replaced(storage: ArchiveStorage) -> None:
    """Whole: who reads has the one or the other."""
    storage.put("a/one", b"longer than the next")
    storage.put("a/one", b"1")
    assert storage.read("a/one") == b"1"
    assert storage.names("a") == ["one"]


def test_fetched(storage: ArchiveStorage, tmp_path: Path) -> None:
    """Into a file, byte by byte; what is not there is no file."""
    storage.put("a/one", b"1" * 100_000)
    storage.fetch("a/one", tmp_path / "one")
    assert (tmp_path / "one").read_bytes() == b"1" * 100_000
    with pytest.raises(FileNotFoundError):
        storage.fetch("a/none", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_moved(storage: ArchiveStorage) -> None:
    storage.put("staged/x", b"1")
    storage.move("staged/x", "day=1/x")
    assert storage.names("staged") == []
    assert storage.read("day=1/x") == b"1"
    storage.delete("day=1/x")
    assert storage.names("day=1") == []


def test_an_address_that_nobody_knows() -> None:
    with pytest.raises(BadSetting, match="storage at what://x"):
        open_storage("what://x")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file stands in its place: the error says where."""
    (tmp_path / "file").write_bytes(b"")
    storage = open_storage(str(tmp_path / "file/archive"))
    with pytest.raises(StorageUnavailable, match="file/archive"):
        storage.put("a/b", b"")


def test_a_folder_keeps_nothing_half_written(tmp_path: Path) -> None:
    """What a kill leaves is nobody's file, and erasing sweeps it."""
    storage = LocalStorage(tmp_path)
    storage.put("_keys/a.keys", b"")
    (tmp_path / "_keys/.writing-x").write_bytes(b"half a key")
    assert storage.names("_keys") == ["a.keys"]
    KeyFiles(storage).bury(Erased(bytes(16), 0))
    assert not list((tmp_path / "_keys").glob(".writing-*"))
