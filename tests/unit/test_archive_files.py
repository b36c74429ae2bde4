"""How files are named, put and read: of other versions, in windows, while they are replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from services.archive.compacting import Compaction
from services.archive.domain.gathering import Gathered
from services.shared.archive_log import Superseded
from services.shared.archive_reader import ArchiveReader, as_schema
from services.shared.archive_rows import SCHEMA, SCHEMA_VERSION
from services.shared.archive_storage import LocalStorage
from services.shared.errors import StorageUnavailable
from services.shared.sealing import MasterKey, SealBroken
from tests.archive_parts import (
    MASTER,
    PARTITION,
    TABLE,
    archivist,
    gathered,
    keys_of,
    read,
    record_at,
)
from tests.profile_events import event, view


def test_a_master_key_that_is_another(tmp_path: Path) -> None:
    """It opens nothing, and says so, rather than pass over all."""
    storage = LocalStorage(tmp_path)
    archivist(storage).archive([record_at(view(1), 0)])
    keys = keys_of(storage)
    keys._master = MasterKey(b"another key of 32 bytes, indeed.")
    with pytest.raises(SealBroken):
        list(ArchiveReader(storage, keys).read(PARTITION))


def older(frame: pl.DataFrame) -> pl.DataFrame:
    """A file of a version that knew neither ratings nor sessions."""
    return frame.drop("stars", "session_hash")


def newer(frame: pl.DataFrame) -> pl.DataFrame:
    """A file of a version that knows something more."""
    return frame.with_columns(pl.lit("red").alias("mood"))


@pytest.mark.parametrize("change", [older, newer])
def test_files_of_other_versions(tmp_path: Path, change: Any) -> None:
    """Beside files of this version: a column that is missing is null, one too many is passed."""
    storage = LocalStorage(tmp_path)
    ours = archivist(storage)
    ours.archive([record_at(event(1, rating={"productId": "mug", "stars": 4}), 0)])
    (path,) = tmp_path.glob(f"{TABLE}/day=*/*/*.parquet")
    assert pl.read_parquet_metadata(path)["schema_version"] == SCHEMA_VERSION
    change(pl.read_parquet(path, hive_partitioning=False)).write_parquet(path)
    ours.archive([record_at(view(2), 1)])
    (frame,) = ArchiveReader(storage, keys_of(storage)).frames(PARTITION)
    assert frame.schema == pl.Schema(SCHEMA)
    assert frame["offset"].to_list() == [0, 1]
    assert frame["stars"].to_list()[0] == (None if change is older else 4)
    pattern = f"{tmp_path}/{TABLE}/**/*.parquet"
    found = duckdb.sql(
        f"select \"offset\" from read_parquet('{pattern}', union_by_name=true) order by 1"  # noqa: S608 - a test's own folder
    )
    assert found is not None
    assert found.fetchall() == [(0,), (1,)]
    scanned = pl.scan_parquet(pattern, missing_columns="insert", extra_columns="ignore")
    assert scanned.select(pl.len()).collect().item() == 2


def test_columns_are_only_added() -> None:
    """What version 1 had is there, in its order and types; a newer version says so."""
    head = ["topic_id", "partition", "offset", "appended_at", "first_appended_at", "occurred_at"]
    what = ["product_id", "quantity", "stars", "result_count", "product_ids", "lines"]
    hashes = ["event_hash", "session_hash", "order_hash"]
    first = [*head, "shop_id", "person", "action", *what, *hashes, "sealed"]
    assert list(SCHEMA)[: len(first)] == first
    assert (SCHEMA_VERSION == "1") == (len(SCHEMA) == len(first))
    assert as_schema(pl.DataFrame({"offset": [1]})).schema == pl.Schema(SCHEMA)


def test_read_in_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few offsets are read at once, all come, in order."""
    monkeypatch.setattr("services.shared.archive_reader.WINDOW", 7)
    storage = LocalStorage(tmp_path)
    ours = archivist(storage)
    for start in (0, 20, 40):
        some = [view(n, user=f"u{n % 3}", shopId=f"s{n % 4}") for n in range(start, start + 20)]
        ours.archive([record_at(one, 100 + start + n) for n, one in enumerate(some)])
    reader = ArchiveReader(storage, keys_of(storage))
    assert [row.offset for row in reader.read(PARTITION)] == list(range(100, 160))
    assert max(map(len, reader.frames(PARTITION))) == 7
    assert reader.archived_up_to(PARTITION) == 160


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    """Removed by nobody of ours: the error names it."""
    storage = LocalStorage(tmp_path)
    archivist(storage).archive([record_at(view(1), 0)])
    (path,) = tmp_path.glob(f"{TABLE}/day=*/*/*.parquet")
    path.unlink()
    with pytest.raises(StorageUnavailable, match="is not there"):
        read(storage)


def test_replaced_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files become one between two windows: every row comes once all the same."""
    monkeypatch.setattr("services.shared.archive_reader.WINDOW", 5)
    storage = LocalStorage(tmp_path)
    ours = archivist(storage)
    for start in (0, 10):
        ours.archive([record_at(view(n), n) for n in range(start, start + 10)])
    rows = ArchiveReader(storage, keys_of(storage)).read(PARTITION)
    first = [next(rows) for _ in range(3)]
    Compaction(storage, MASTER).table(TABLE, lambda _: True)
    assert [row.offset for row in [*first, *rows]] == list(range(20))


def test_the_name_of_a_file_says_what_is_in_it() -> None:
    file = PARTITION.new_file("2026-03-01", "demo", (3, 9), 5)
    assert file.path == "day=2026-03-01/shop=demo/T0pic-id-0-3-9.parquet"
    assert file.staged.startswith("_staged/T0pic-id-0/T0pic-id-0-3-9.")
    assert file.staged.endswith(".new")


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says so; nothing counts, nothing lies about, and the next try succeeds."""
    ours = archivist(LocalStorage(tmp_path))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(StorageUnavailable, match="No space left on device"):
            ours.archive([record_at(view(1), 0)])
    assert read(LocalStorage(tmp_path)) == []
    assert not list(tmp_path.rglob(".writing-*"))
    assert not list(tmp_path.rglob("*.new"))
    ours.archive([record_at(view(1), 0)])
    assert len(read(LocalStorage(tmp_path))) == 1


def test_an_entry_that_seemed_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was written all the same: trying again adds nothing twice."""
    storage = LocalStorage(tmp_path)
    ours = archivist(storage)
    create = storage.create

    def unsure(path: str, content: bytes) -> bool:
        create(path, content)
        raise StorageUnavailable("no answer")

    (staged,) = ours.writer.stage([(ours.log, gathered([record_at(view(1), 0)]))])
    monkeypatch.setattr(storage, "create", unsure)
    with pytest.raises(StorageUnavailable):
        ours.log.archive(staged.next, staged.files)
    monkeypatch.setattr(storage, "create", create)
    with pytest.raises(Superseded):
        ours.log.archive(staged.next, staged.files)
    assert archivist(storage).log.next == 1
    assert [row.offset for row in read(storage)] == [0]


def test_a_span_of_which_all_was_refused(tmp_path: Path) -> None:
    """The log goes on, without a file."""
    ours = archivist(LocalStorage(tmp_path))
    told = Gathered(0)
    told.passed(6, 100, 0.0)
    (staged,) = ours.writer.stage([(ours.log, told)])
    ours.log.archive(staged.next, staged.files)
    assert (staged.files, archivist(LocalStorage(tmp_path)).log.next) == ([], 7)
