"""Every row counts once, whoever writes, is killed or overtaken, on disk and in an object store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import polars as pl
import pytest

from services.archive.compacting import Compaction
from services.shared.archive_log import Log, Superseded
from services.shared.archive_storage import ArchiveStorage, open_storage
from tests.archive_parts import (
    DAY_MS,
    MASTER,
    NOON_MS,
    PARTITION,
    TABLE,
    Archivist,
    Roots,
    archivist,
    gathered,
    places_by_reader,
    read,
    views,
)


def test_every_row_once_and_as_it_was_sent(storage: ArchiveStorage) -> None:
    """Over several shops, days and flushes, in the order of offsets."""
    ours = archivist(storage)
    ours.archive(views(0, 30))
    ours.archive(views(30, 12))
    found = read(storage)
    assert [row.offset for row in found] == list(range(42))
    assert [row.event.event_id for row in found] == [f"e{n}" for n in range(42)]
    assert {row.appended for row in found} == {NOON_MS * 1000, (NOON_MS + DAY_MS) * 1000}
    assert [row.offset for row in read(storage, shop="shop-1")] == list(range(1, 42, 2))
    second_day = read(storage, days=("2026-03-02", "2026-03-02"))
    assert [row.offset for row in second_day] == list(range(4, 42, 5))


def test_who_was_replaced_adds_nothing(storage: ArchiveStorage) -> None:
    """A process that stood still while another claimed its partition and went on."""
    slow, told = archivist(storage), gathered(views(0, 10))
    (staged,) = slow.writer.stage([(slow.log, told)])
    quick = archivist(storage)
    quick.archive(views(0, 7))
    with pytest.raises(Superseded):
        slow.log.archive(staged.next, staged.files)
    quick.archive(views(7, 5))
    assert [row.offset for row in read(storage)] == list(range(12))
    assert archivist(storage).log.next == 12
    assert storage.names(f"{TABLE}/{PARTITION.staged}") == []


def test_claimed_while_it_was_staging(storage: ArchiveStorage) -> None:
    """What it has staged is thrown away, so it may not count, though no offset has moved."""
    slow = archivist(storage)
    (staged,) = slow.writer.stage([(slow.log, gathered(views(0, 10)))])
    archivist(storage)
    with pytest.raises(Superseded):
        slow.log.archive(staged.next, staged.files)
    assert read(storage) == []


def test_a_claim_throws_nothing_away_that_counts(storage: ArchiveStorage) -> None:
    """Killed between the log's entry and the files' names: the next claim gives the names."""
    ours = archivist(storage)
    (staged,) = ours.writer.stage([(ours.log, gathered(views(0, 10)))])
    ours.log.archive(staged.next, staged.files)
    assert [row.offset for row in read(storage)] == list(range(10))
    assert archivist(storage).log.next == 10
    assert storage.names(f"{TABLE}/{PARTITION.staged}") == []
    assert [row.offset for row in read(storage)] == list(range(10))


def test_compaction_while_it_is_written(storage: ArchiveStorage) -> None:
    """The archive goes on with its own log; the compaction's entry does not disturb it."""
    ours = archivist(storage)
    ours.archive(views(0, 10))
    ours.archive(views(10, 10))
    done = Compaction(storage, MASTER).table(TABLE, lambda _: True)
    assert (done.files_before, done.files_after) == (8, 4)
    ours.archive(views(20, 10))
    assert [row.offset for row in read(storage)] == list(range(30))
    assert len(ours.log.files) == 8


def test_a_compaction_that_was_overtaken(storage: ArchiveStorage) -> None:
    """Another has made the same files one: its own change counts for nothing."""
    ours = archivist(storage)
    ours.archive(views(0, 10))
    ours.archive(views(10, 10))
    late = Log(storage, PARTITION)
    late.look()
    old = list(late.files)
    Compaction(storage, MASTER).table(TABLE, lambda _: True)
    with pytest.raises(Superseded):
        late.replace(old, [])
    assert [row.offset for row in read(storage)] == list(range(20))


class Slow:
    """A storage whose process stands still after it has created something, while ``then`` runs."""

    def __init__(self, storage: ArchiveStorage, then: Callable[[], None]) -> None:
        self._storage = storage
        self._then = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def create(self, path: str, content: bytes) -> bool:
        """See :class:`ArchiveStorage`."""
        created = self._storage.create(path, content)
        self._then()
        return created


def test_a_claim_that_is_slow(storage: ArchiveStorage) -> None:
    """What lies staged is thrown away for who was before, never for who came after."""
    archivist(storage).archive(views(0, 5))
    later: list[tuple[Archivist, Any]] = []

    def another_takes_over() -> None:
        other = archivist(storage)
        later.append((other, other.writer.stage([(other.log, gathered(views(5, 5)))])))

    slow = archivist(Slow(storage, another_takes_over))
    ((other, (staged,)),) = later
    other.log.archive(staged.next, staged.files)
    other.log.settle(staged.files)
    assert [row.offset for row in read(storage)] == list(range(10))
    with pytest.raises(Superseded):
        slow.log.archive(7, [])


class Killed(BaseException):
    """What a kill is to code: no handler sees it."""


class Dying:
    """A storage whose process is killed before its ``step``-th change; then nothing works."""

    CHANGES = ("put", "create", "move", "delete", "abandon")

    def __init__(self, storage: ArchiveStorage, step: int) -> None:
        self._storage = storage
        self._left = step

    @property
    def survived(self) -> bool:
        """Whether it came to its end before that."""
        return self._left > 0

    def __getattr__(self, name: str) -> Any:
        what = getattr(self._storage, name)
        return self._change(what) if name in self.CHANGES else what

    def _change(self, what: Any) -> Any:
        def change(*told: Any) -> Any:
            self._left -= 1
            if self._left <= 0:
                raise Killed
            return what(*told)

        return change


def lives(roots: Roots, live: Callable[[ArchiveStorage], None]) -> Iterator[ArchiveStorage]:
    """Storages after ``live``, killed before its first change, its second, and so on."""
    for step in range(1, 500):
        storage = open_storage(roots())
        dying = Dying(storage, step)
        try:
            live(dying)
        except Killed:
            yield storage
            continue
        assert dying.survived
        assert step > 10
        return


def placed(storage: ArchiveStorage) -> Counter[int]:
    """How often each offset is found by who reads all files of Parquet, whatever the log says."""
    found: Counter[int] = Counter()
    for day in storage.names(TABLE):
        if day.startswith("day="):
            for shop in storage.names(f"{TABLE}/{day}"):
                for name in storage.names(f"{TABLE}/{day}/{shop}"):
                    source: Path | IO[bytes] = storage.source(f"{TABLE}/{day}/{shop}/{name}")
                    found.update(pl.read_parquet(source, hive_partitioning=False)["offset"])
    return found


def go_on(storage: ArchiveStorage, upto: int) -> None:
    """A new process archives what is missing."""
    ours = archivist(storage)
    ours.archive(views(ours.log.next, upto - ours.log.next))


def test_killed_at_any_step_of_archiving(roots: Roots) -> None:
    """Before each change of the storage in turn: nothing is missing or twice, then or later."""

    def live(storage: ArchiveStorage) -> None:
        ours: Archivist = archivist(storage)
        ours.archive(views(0, 10))
        ours.archive(views(10, 10))

    for storage in lives(roots, live):
        assert set(placed(storage).values()) <= {1}
        assert set(places_by_reader(storage).values()) <= {1}
        go_on(storage, 25)
        assert [row.offset for row in read(storage)] == list(range(25))
        assert placed(storage) == Counter(range(25))
        assert storage.names(f"{TABLE}/{PARTITION.staged}") == []


def test_killed_at_any_step_of_compacting(roots: Roots) -> None:
    """The same for who makes large files of small ones."""

    def live(storage: ArchiveStorage) -> None:
        go_on(open_storage_of(storage), 10)
        go_on(open_storage_of(storage), 20)
        Compaction(storage, MASTER).table(TABLE, lambda _: True)
        Compaction(storage, MASTER).keys()

    for storage in lives(roots, live):
        assert set(placed(storage).values()) <= {1}
        assert places_by_reader(storage) == Counter(
            {("T0pic-id", 0, offset): 1 for offset in range(20)}
        )
        go_on(storage, 25)
        assert placed(storage) == Counter(range(25))
        assert [row.offset for row in read(storage)] == list(range(25))


def open_storage_of(storage: ArchiveStorage) -> ArchiveStorage:
    """The storage beneath one that dies."""
    return storage._storage if isinstance(storage, Dying) else storage
