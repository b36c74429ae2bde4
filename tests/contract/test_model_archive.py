"""The archive as a source of training data: as its reader has it, mostly without opening it."""

from __future__ import annotations

import base64
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from model_export import prepared_folder
from model_export.__main__ import main
from model_export.errors import DataRefused
from model_export.preparation.archive import archive_feed
from model_export.preparation.events import EventRow, pseudonym_by, rows_of_event
from model_export.preparation.rows import LATEST
from model_export.preparation.splits import LeaveOneOut
from model_export.preparation.stage import Wanted, prepare
from services.shared.archive_keys import Erased, KeyFiles
from services.shared.archive_storage import LocalStorage
from services.shared.sealing import MasterKey, SealBroken
from tests.archive_parts import MASTER, NOON_MS, archivist, read, record_at, views
from tests.preparation_parts import kept_things
from tests.profile_events import NOON, Event, event, view

MINUTE = timedelta(minutes=1)
PRICE = {"currencyCode": "EUR", "units": "12", "nanos": 500_000_000}
LINES = [
    {"productId": "mug", "quantity": 2, "unitPrice": PRICE},
    {"productId": "pen", "quantity": 1},
]


def every_action() -> list[Event]:
    """An event of each kind."""
    actions: list[dict[str, Any]] = [
        {"search": {"query": "Blue  MUG"}},
        {"view": {"productId": "mug"}},
        {"click": {"productId": "mug"}},
        {"notInterested": {"productId": "pot"}},
        {"addToCart": {"productId": "mug", "quantity": 3}},
        {"removeFromCart": {"productId": "mug", "quantity": 1}},
        {"rating": {"productId": "mug", "stars": 4}},
        {"impression": {"productIds": ["mug", "lamp"]}},
        {"purchase": {"orderId": "o1", "lines": LINES}},
        {"cancel": {"orderId": "o1"}},
        {"cancel": {"orderId": "o2", "lines": LINES}},
        {"identify": {}},
        {"logout": {}},
    ]
    more: dict[str, Any] = {"visitorId": "v1", "sessionId": "s1"}
    return [event(n, **more, **one) for n, one in enumerate(actions)]


def rows_in(storage: LocalStorage, passed: Counter[str]) -> pl.DataFrame:
    """All rows of the archive."""
    return pl.concat(archive_feed(storage, MASTER).batches(passed))


def test_rows_are_those_of_the_opened_events(tmp_path: Path) -> None:
    """What is taken in clear says what the event says; ids are hashes, as many as there were."""
    storage = LocalStorage(tmp_path)
    archivist(storage).archive(record_at(one, n) for n, one in enumerate(every_action()))
    passed: Counter[str] = Counter()
    found = rows_in(storage, passed)
    expected = [
        row for each in read(storage) for row in rows_of_event(each.event, pseudonym_by(MASTER))
    ]
    same = ("user_id", "thing", "action", "at", "quantity", "price")
    told = pl.DataFrame(expected, schema=list(EventRow._fields), orient="row")
    assert found.select(same).rows() == told.select(same).rows()
    for name in ("event_id", "session_id", "order_id"):
        assert found[name].is_null().to_list() == told[name].is_null().to_list()
        assert found[name].rank("dense").n_unique() == told[name].rank("dense").n_unique()
    assert found[LATEST].unique().to_list() == [NOON_MS * 1000 + 300_000_000]
    assert dict(passed) == {"person_erased": 0, "other_action": 3}


def test_who_was_erased_is_not_learned_from(tmp_path: Path) -> None:
    """Nor from rows that nobody opens; what came later under a new key counts."""
    storage = LocalStorage(tmp_path)
    archivist(storage).archive(views(0, 30))
    gone = pseudonym_by(MASTER)("shop-0", "u:u0")
    KeyFiles(storage).bury(Erased(bytes.fromhex(gone), 2**61))
    passed: Counter[str] = Counter()
    found = rows_in(storage, passed)
    assert gone not in found["user_id"].to_list()
    assert (len(found), passed["person_erased"]) == (25, 5)


def test_prepared_from_the_archive(tmp_path: Path) -> None:
    """A visitor's rows are the user's; a repeated event counts once; nobody is named."""
    some = [
        view(0, "mug", userId="", visitorId="v1"),
        event(1, visitorId="v1", identify={}),
        view(2, "pen"),
        view(2, "pen"),
        event(3, search={"query": "Lamp"}),
        event(4, purchase={"orderId": "o", "lines": LINES}),
    ]
    storage = LocalStorage(tmp_path / "archive")
    archivist(storage).archive(record_at(one, n) for n, one in enumerate(some))
    wanted = Wanted(split=LeaveOneOut())
    source = prepare(archive_feed(storage, MASTER, shop="demo"), wanted, tmp_path / "data")
    assert list(kept_things(tmp_path / "data")) == ["mug", "pen", "lamp", "mug", "pen"]
    assert source.left_out == {"sign_in_or_out": 1, "same_event": 1}
    users = pl.read_parquet(tmp_path / "data/users.parquet")["user_id"].to_list()
    assert users == [pseudonym_by(MASTER)("demo", "u:ana")]


def test_the_command_prepares_an_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One shop's events, opened by a key from a file, with groups of shoppers and products."""
    some = [
        view(n, f"i{n % 4}", user=f"u{n % 3}", shopId=f"shop-{n % 2}", at=NOON + n * MINUTE)
        for n in range(36)
    ]
    archivist(LocalStorage(tmp_path / "archive")).archive(
        record_at(one, n, appended_ms=NOON_MS + n * 60_000) for n, one in enumerate(some)
    )
    (tmp_path / "key").write_bytes(base64.b64encode(bytes(range(32))))
    (tmp_path / "ages.csv").write_text("user_id,group\nshop-0/u:u1,65+\nshop-1/u:u1,18-24\n")
    (tmp_path / "items.csv").write_text("item_id,title\ni0,Mug\nnew,Pen\n")
    told = f"prepare --archive {tmp_path}/archive --master-key-file {tmp_path}/key --shop shop-0"
    told += f" --groups {tmp_path}/ages.csv --items {tmp_path}/items.csv --split leave-one-out"
    assert main([*told.split(), "--to", f"{tmp_path}/data"]) == 0
    said = capsys.readouterr().out
    assert "# archive-shop-0, prepared, split leave one out\n\n18 of 18 rows are kept." in said
    assert said.endswith((tmp_path / "data/report.md").read_text())
    ids, source, _ = prepared_folder.load_about(tmp_path / "data")
    name = pseudonym_by(MASTER)
    groups = {name("shop-0", f"u:u{n}"): "65+" if n == 1 else None for n in range(3)}
    assert dict(zip(ids.users, ids.groups, strict=True)) == groups
    assert ids.items == ["i0", "i2", "new"]
    assert (source.grouped, source.grouped_elsewhere, source.untouched) == (1, 1, 1)


def test_an_archive_that_cannot_be_read(tmp_path: Path) -> None:
    """An empty folder and a wrong key are told apart."""
    storage = LocalStorage(tmp_path)
    with pytest.raises(DataRefused, match="the archive has no events"):
        archive_feed(storage, MASTER)
    archivist(storage).archive(views(0, 3))
    with pytest.raises(DataRefused, match="no events of shop elsewhere"):
        archive_feed(storage, MASTER, shop="elsewhere")
    with pytest.raises(SealBroken):
        list(archive_feed(storage, MasterKey(b"x" * 32)).batches(Counter()))
