"""A local folder and an object store keep the same promises, and the archive needs no others."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from services.archive.compacting import Compaction
from services.archive.domain.tables import TABLES
from services.shared.archive_keys import Erased, KeyFiles
from services.shared.archive_log import Log, Superseded
from services.shared.archive_storage import ArchiveStorage, LocalStorage, open_storage
from services.shared.errors import BadSetting, StorageUnavailable
from tests.archive_parts import (
    DAY_MS,
    MASTER,
    NOON_MS,
    PARTITION,
    TABLE,
    Archivist,
    Clock,
    archivist,
    gathered,
    keys_of,
    places_by_reader,
    read,
    record_at,
)
from tests.profile_events import FakeRecord, view

Roots = Callable[[], str]


@pytest.fixture(params=["local", "memory"])
def roots(request: pytest.FixtureRequest, tmp_path: Path) -> Roots:
    """Answers an empty root each time."""
    if request.param == "local":
        return lambda: str(tmp_path / secrets.token_hex(4))
    return lambda: f"memory://{secrets.token_hex(8)}"


@pytest.fixture
def storage(roots: Roots) -> ArchiveStorage:
    """An empty storage."""
    return open_storage(roots())


def views(first: int, count: int) -> list[FakeRecord]:
    """Records at offsets from ``first`` on, of three shoppers of two shops on two days."""
    return [
        record_at(
            view(n, user=f"u{n % 3}", shopId=f"shop-{n % 2}"),
            n,
            appended_ms=NOON_MS + n % 5 // 4 * DAY_MS,
        )
        for n in range(first, first + count)
    ]


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


def test_moved(storage: ArchiveStorage) -> None:
    storage.put("staged/x", b"1")
    storage.move("staged/x", "day=1/x")
    assert storage.names("staged") == []
    assert storage.read("day=1/x") == b"1"
    storage.delete("day=1/x")
    assert storage.names("day=1") == []


def test_an_address_that_nobody_knows() -> None:
    with pytest.raises(BadSetting, match="archive at what://x"):
        open_storage("what://x")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file stands in its place: the error says where."""
    (tmp_path / "file").write_bytes(b"")
    storage = open_storage(str(tmp_path / "file/archive"))
    with pytest.raises(StorageUnavailable, match="file/archive"):
        storage.put("a/b", b"")


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
    import polars as pl

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


def test_erased_for_good(storage: ArchiveStorage) -> None:
    """No file of keys holds the person's; what was sealed does not open; others' does."""
    ours, clock = archivist(storage), Clock()
    ours.archive(views(0, 12))
    gone = MASTER.pseudonym(b"shop-0/u:u0")
    assert keys_of(storage).has(gone)
    KeyFiles(storage).bury(Erased(gone, clock.now))
    contents = [storage.read(f"_keys/{name}") for name in storage.names("_keys")]
    assert sum(gone in content for content in contents) == 1  # the tombstone
    assert not keys_of(storage).has(gone)
    assert [row.offset for row in read(storage)] == [n for n in range(12) if n % 6]


def test_what_comes_after_erasing(storage: ArchiveStorage) -> None:
    """A process that had the key in hand makes a new one for what happens from then on."""
    clock = Clock()
    ours = archivist(storage, now=clock)
    ours.archive(views(0, 6))
    KeyFiles(storage).bury(Erased(MASTER.pseudonym(b"shop-0/u:u0"), NOON_MS * 1000 + 5))
    late = record_at(view("late", user="u0", shopId="shop-0"), 6, appended_ms=NOON_MS)
    new = record_at(
        view("new", user="u0", shopId="shop-0", occurredAt="2026-03-01T13:00:00Z"),
        7,
        appended_ms=NOON_MS + 3_600_000,
    )
    ours.archive([late, new])
    assert [row.event.event_id for row in read(storage)] == ["e1", "e2", "e3", "e4", "e5", "enew"]


def test_erased_by_a_merge_at_the_same_time(storage: ArchiveStorage) -> None:
    """Files of keys that are made one do not bring back a key that was erased meanwhile."""
    ours = archivist(storage)
    ours.archive(views(0, 6))
    gone = MASTER.pseudonym(b"shop-0/u:u0")
    files = KeyFiles(storage)
    (name,) = [each for each in files.names() if each.endswith(".keys")]
    before = files.read(name)
    files.bury(Erased(gone, NOON_MS * 1000))
    files.put(before)  # as one does who read it before
    files.merge()
    assert not any(
        gone in storage.read(f"_keys/{each}") for each in files.names() if each.endswith(".keys")
    )


class Overtaken:
    """A storage in which a person is erased just before keys are put."""

    def __init__(self, storage: ArchiveStorage, erased: Erased) -> None:
        self._storage = storage
        self._erased: Erased | None = erased

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def put(self, path: str, content: bytes) -> None:
        """See :class:`ArchiveStorage`."""
        if self._erased is not None and path.endswith(".keys"):
            KeyFiles(self._storage).bury(self._erased)
            self._erased = None
        self._storage.put(path, content)


def test_erased_while_the_key_is_put(storage: ArchiveStorage) -> None:
    """Who erases has not seen the key; who puts it sees the tombstone, and takes it away."""
    gone = MASTER.pseudonym(b"shop-0/u:u0")
    archivist(Overtaken(storage, Erased(gone, NOON_MS * 1000 + 1))).archive(views(0, 6))
    files = [storage.read(f"_keys/{name}") for name in storage.names("_keys")]
    assert sum(gone in content for content in files) == 1  # the tombstone
    assert [row.offset for row in read(storage)] == [1, 2, 3, 4, 5]


def test_two_who_meet_a_person_at_once(storage: ArchiveStorage) -> None:
    """Each makes a key; both open, and both are erased."""
    one = archivist(storage)
    other = archivist(storage, PARTITION._replace(partition=1))
    work = [(who, gathered(views(0, 6))) for who in (one, other)]
    staged = [who.writer.stage([(who.log, told)]) for who, told in work]
    for (who, _), (each,) in zip(work, staged, strict=True):
        who.log.archive(each.next, each.files)
        who.log.settle(each.files)
    for partition in (0, 1):
        assert len(read(storage, PARTITION._replace(partition=partition))) == 6
    Compaction(storage, MASTER).keys()
    KeyFiles(storage).bury(Erased(MASTER.pseudonym(b"shop-0/u:u0"), NOON_MS * 1000))
    for partition in (0, 1):
        assert len(read(storage, PARTITION._replace(partition=partition))) == 5


def test_tables_have_names_of_their_own() -> None:
    """A topic's name is its table's."""
    assert len({table.name for table in TABLES}) == len(TABLES)


def test_a_folder_keeps_nothing_half_written(tmp_path: Path) -> None:
    """What a kill leaves is nobody's file, and erasing sweeps it."""
    storage = LocalStorage(tmp_path)
    storage.put("_keys/a.keys", b"")
    (tmp_path / "_keys/.writing-x").write_bytes(b"half a key")
    assert storage.names("_keys") == ["a.keys"]
    KeyFiles(storage).bury(Erased(bytes(16), 0))
    assert not list((tmp_path / "_keys").glob(".writing-*"))
