"""What is gathered when, what rows say, and what stops the start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.archive.__main__ import main
from services.archive.domain.gathering import Gathered, Limits, is_due
from services.archive.domain.tables import event_row
from services.shared.archive_keys import ID_BYTES, RECORD_BYTES
from services.shared.archive_rows import RowOpener, RowSealer
from services.shared.archive_storage import LocalStorage
from services.shared.errors import EventRefused
from services.shared.sealing import FORMAT, NONCE_BYTES
from tests.archive_kafka import as_sent
from tests.archive_parts import (
    MASTER,
    archivist,
    keys_of,
    read,
    record_at,
)
from tests.profile_events import ACTIONS, FakeRecord, event, events, view

LIMITS = Limits(events=10, bytes=1000, seconds=60.0)


def waiting(rows: int, size: int, since: float) -> Gathered:
    """A partition with so much gathered."""
    row = event_row(record_at(view(1), 0))
    return Gathered(0, [row] * rows, size, since)


@pytest.mark.parametrize(
    ("gathered", "now", "due"),
    [
        ([], 1e9, False),
        ([Gathered(7)], 1e9, False),
        ([waiting(9, 999, 0.0)], 59.9, False),
        ([waiting(5, 10, 0.0), waiting(5, 10, 0.0)], 1.0, True),
        ([waiting(1, 500, 0.0), waiting(1, 500, 0.0)], 1.0, True),
        ([waiting(1, 1, 50.0), waiting(1, 1, 0.0)], 60.0, True),
        ([waiting(0, 1, 0.0)], 60.0, True),  # all refused: the log goes on all the same
    ],
)
def test_when_it_is_due(gathered: list[Gathered], now: float, due: bool) -> None:
    """By events or bytes over all partitions, or by the oldest."""
    assert is_due(gathered, LIMITS, now) is due


def test_what_seems_to_be_missing_is_asked_for_once() -> None:
    """A second time the same comes, there is nothing between."""
    gathered = Gathered(10)
    assert [gathered.doubts(first) for first in (10, 5, 12, 12, 13)] == [
        False,
        False,
        True,
        False,
        True,
    ]


def test_many_new_persons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their keys are found whichever way they are held."""
    monkeypatch.setattr("services.shared.archive_keys.PUT_KEPT", 5)
    monkeypatch.setattr("services.shared.archive_keys.SEALS_KEPT", 2)
    storage = LocalStorage(tmp_path)
    ours = archivist(storage)
    for start in range(0, 40, 4):
        some = [view(n, user=f"u{n % 19}") for n in range(start, start + 4)]
        ours.archive([record_at(one, start + n) for n, one in enumerate(some)])
    assert [row.event.user_id for row in read(storage)] == [f"u{n % 19}" for n in range(40)]
    keys = b"".join(path.read_bytes() for path in tmp_path.glob("_keys/*.keys"))
    assert len(keys) == 19 * RECORD_BYTES


def frame_of(storage: LocalStorage, *records: FakeRecord) -> tuple[pl.DataFrame, RowOpener]:
    """The rows of records, and what opens them."""
    keys = keys_of(storage)
    rows = [event_row(record) for record in records]
    return RowSealer(keys, MASTER).frame("T", 3, rows), RowOpener(keys)


def plain(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows with moments as numbers."""
    moments = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    return frame.with_columns(pl.col(moments).cast(pl.Int64)).to_dicts()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(ACTIONS)).flatmap(lambda a: st.tuples(st.just(a), ACTIONS[a])),
    st.booleans(),
)
def test_an_event_comes_back_as_it_was(action: tuple[str, Any], as_protobuf: bool) -> None:
    """Whatever was done, however it was written."""
    name, what = action
    one = event(1, visitorId="v1", sessionId="s", attributionToken="t", **{name: what})
    record = record_at(one, 5)
    sent = as_sent(record.value or b"")
    row = event_row(record)
    if as_protobuf:
        row = row._replace(event=sent)
    keys = keys_of(LocalStorage(Path("nothing-is-read-or-written-here")))
    (made,) = plain(RowSealer(keys, MASTER).frame("T", 0, [row]))
    assert RowOpener(keys).event(made) == sent


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(events(), st.booleans()), min_size=1, max_size=12))
def test_a_batch_comes_back_in_its_order(batch: list[tuple[Any, bool]]) -> None:
    """Actions of all kinds side by side: what one says is in its own row, and nowhere else."""
    rows, sent = [], []
    for offset, (one, as_protobuf) in enumerate(batch):
        record = record_at(one, offset)
        sent.append(as_sent(record.value or b""))
        row = event_row(record)
        rows.append(row._replace(event=sent[-1]) if as_protobuf else row)
    keys = keys_of(LocalStorage(Path("nothing-is-read-or-written-here")))
    frame = RowSealer(keys, MASTER).frame("T", 0, rows)
    assert [RowOpener(keys).event(made) for made in plain(frame)] == sent
    alone = [RowSealer(keys, MASTER).frame("T", 0, [row]).drop("sealed") for row in rows]
    assert frame.drop("sealed").equals(pl.concat(alone))


def test_no_nonce_serves_twice(tmp_path: Path) -> None:
    """Not even for the same event of the same person: under one key that would unseal both."""
    frame, _ = frame_of(LocalStorage(tmp_path), *(record_at(view(1), n) for n in range(50)))
    nonces = frame["sealed"].bin.slice(ID_BYTES + len(FORMAT), NONCE_BYTES)
    assert nonces.n_unique() == 50


def test_what_is_in_clear(tmp_path: Path) -> None:
    """Nothing that names the shopper or was said by one stands in the bytes of a file."""
    secret: dict[str, Any] = {
        "visitorId": "SECRET-visitor",
        "sessionId": "SECRET-session",
        "attributionToken": "SECRET-token",
        "search": {"query": "SECRET-query", "filters": {"SECRET-filter": "SECRET-value"}},
    }
    one = event("SECRET-event", user="SECRET-user", **secret)
    two = view("e", user="SECRET-user") | {"visitorId": "SECRET-visitor"}
    order = {"orderId": "SECRET-order", "lines": [{"productId": "mug", "quantity": 1}]}
    three = event("o", user="SECRET-user", purchase=order)
    ours = archivist(LocalStorage(tmp_path))
    ours.archive([record_at(each, n) for n, each in enumerate((one, two, three))])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert b"SECRET" not in path.read_bytes()
        if path.suffix == ".parquet":  # its columns are compressed
            assert b"SECRET" not in repr(pl.read_parquet(path).to_dicts()).encode()


def test_hashes_tell_ids_apart_within_a_person(tmp_path: Path) -> None:
    """The same id of one person has the same hash, of two persons another one."""
    frame, _ = frame_of(
        LocalStorage(tmp_path),
        record_at(view(1, sessionId="s"), 0),
        record_at(view(1, sessionId="s"), 1),
        record_at(view(2, sessionId="s"), 2),
        record_at(view(1, user="ben", sessionId="s"), 3),
    )
    events, sessions = frame["event_hash"].to_list(), frame["session_hash"].to_list()
    assert events[0] == events[1]
    assert len({events[0], events[2], events[3]}) == 3
    assert sessions[0] == sessions[2] != sessions[3]


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(EventRefused):
        event_row(FakeRecord(b"demo/u:ana", b"{oops"))


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "ATTUNE_ARCHIVE_KAFKA_SERVERS is missing"),
        ({"ROOT": ""}, "ATTUNE_ARCHIVE_"),
        ({"MASTER_KEY_FILE": "none"}, "master key file none cannot be read"),
    ],
)
def test_settings_that_cannot_work(
    environ: Mapping[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """One sentence that names the setting, and status 2."""
    monkeypatch.chdir(tmp_path)
    usual = {"KAFKA_SERVERS": "nowhere:1", "ROOT": "a", "MASTER_KEY_FILE": "b"} if environ else {}
    for name, value in {**usual, **environ}.items():
        monkeypatch.setenv(f"ATTUNE_ARCHIVE_{name}", value)
    assert main([]) == 2
    assert said in capsys.readouterr().err
