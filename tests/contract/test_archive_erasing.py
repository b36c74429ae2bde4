"""Who is erased stays so, whoever puts keys at the same moment."""

from __future__ import annotations

from typing import Any

from services.archive.compacting import Compaction
from services.shared.archive_keys import Erased, KeyFiles
from services.shared.archive_reader import ArchiveReader
from services.shared.archive_storage import ArchiveStorage
from tests.archive_parts import (
    MASTER,
    NOON_MS,
    PARTITION,
    TABLE,
    Clock,
    archivist,
    gathered,
    keys_of,
    read,
    record_at,
    views,
)
from tests.profile_events import view


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
    """A process that had the key in hand makes a new one for what happens from then on.

    Forgotten is what happened before, however late it came, and what came before, whatever time
    a clock that runs ahead gave it.
    """
    clock = Clock()
    ours = archivist(storage, now=clock)
    ours.archive(views(0, 6))
    KeyFiles(storage).bury(Erased(MASTER.pseudonym(b"shop-0/u:u0"), NOON_MS * 1000 + 5))
    noon, one = ("2026-03-01T12:00:00Z", NOON_MS), ("2026-03-01T13:00:00Z", NOON_MS + 3_600_000)
    came = {"old": (noon, noon), "late": (noon, one), "ahead": (one, noon), "new": (one, one)}
    ours.archive(
        record_at(
            view(number, user="u0", shopId="shop-0", occurredAt=occurred),
            offset,
            appended_ms=appended,
        )
        for offset, (number, ((occurred, _), (_, appended))) in enumerate(came.items(), 6)
    )
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


def sealed(storage: ArchiveStorage) -> list[bool]:
    """Of which offsets there is something sealed."""
    reader = ArchiveReader(storage, keys_of(storage))
    frames = reader.frames(PARTITION)
    return [each is not None for frame in frames for each in frame["sealed"]]


def test_compaction_drops_what_nobody_can_open(storage: ArchiveStorage) -> None:
    """Of who was erased; the rest of the row stays, and so does all of everybody else."""
    ours = archivist(storage)
    ours.archive(views(0, 6))
    ours.archive(views(6, 6))
    KeyFiles(storage).bury(Erased(MASTER.pseudonym(b"shop-0/u:u0"), NOON_MS * 1000))
    assert sealed(storage) == [True] * 12
    Compaction(storage, MASTER).table(TABLE, lambda _: True)
    assert sealed(storage) == [bool(offset % 6) for offset in range(12)]


def test_a_key_that_is_missing_is_no_erasing(storage: ArchiveStorage) -> None:
    """Keys that somebody has lost may be found again: without a tombstone nothing is dropped."""
    ours = archivist(storage)
    ours.archive(views(0, 6))
    ours.archive(views(6, 6))
    for name in storage.names("_keys"):
        storage.delete(f"_keys/{name}")
    Compaction(storage, MASTER).table(TABLE, lambda _: True)
    assert sealed(storage) == [True] * 12
