"""Which files of the archive count, and up to which offset each partition is archived.

For each partition of a topic there is a log: entries with the numbers 0, 1, 2 … in files of
their own, each *created*, which only one of two who try succeeds in. An entry adds files,
may remove others, and says from which offset on the archive goes on. What no entry has added
does not exist. So the log is the truth about what is archived, and Kafka's committed offset is
only a hint for those who watch the lag.

Who begins to archive a partition first *claims* it, by an entry that adds nothing: whoever had
it before finds the number taken, and so can add nothing any more. After a claim what nobody
has added can be thrown away.

Files are first put under ``_staged``, in names that no pattern for Parquet finds, then added
by an entry, and only then moved into place. Someone who reads ``**/*.parquet`` may for a moment
miss rows that are archived, and never sees one twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from services.shared.archive_storage import ArchiveStorage
from services.shared.errors import AttuneError

DIGITS: Final = 12


class Superseded(AttuneError):
    """Another process has claimed the partition, or removed what was to be removed."""

    code = "ARCHIVE_SUPERSEDED"


class ArchivedFile(msgspec.Struct, frozen=True):
    """A file of rows of one partition, day and shop."""

    path: str
    """Below the table's folder."""
    staged: str
    """Its name before it was moved into place."""
    day: str
    shop: str
    first: int
    """The smallest offset in it."""
    last: int
    """The greatest."""
    rows: int


class Entry(msgspec.Struct, frozen=True):
    """One step of a partition's log."""

    next: int
    """All offsets before it are archived."""
    added: tuple[ArchivedFile, ...] = ()
    removed: tuple[str, ...] = ()
    """Paths whose rows are in the added files now."""
    claimed_by: str = ""
    """Who archives from here on, by a random name; "" where that stays as it was."""


class State(NamedTuple):
    """What a log says up to an entry."""

    number: int
    """Of the last entry; -1 for none."""
    next: int
    """Where archiving goes on; -1 where nothing was ever archived."""
    files: dict[str, ArchivedFile]
    """By path."""
    removed: frozenset[str]
    """Paths that counted once."""


NOTHING: Final = State(-1, -1, {}, frozenset())

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class Partition(NamedTuple):
    """A partition of a topic in a table of the archive. ``topic_id`` is Kafka's UUID."""

    table: str
    topic_id: str
    partition: int

    @property
    def log(self) -> str:
        """The folder of its log."""
        return f"{self.table}/_log/{self.topic_id}-{self.partition}"

    @property
    def staged(self) -> str:
        """The folder of files that may not count yet, below the table's."""
        return f"_staged/{self.topic_id}-{self.partition}"

    def new_file(self, day: str, shop: str, offsets: tuple[int, int], rows: int) -> ArchivedFile:
        """A file with a name of its own; ``offsets`` are its first and last."""
        first, last = offsets
        name = f"{self.topic_id}-{self.partition}-{first}-{last}"
        return ArchivedFile(
            f"day={day}/shop={shop}/{name}.parquet",
            f"{self.staged}/{name}.{secrets.token_hex(8)}.new",
            day,
            shop,
            first,
            last,
            rows,
        )


def partitions_of(storage: ArchiveStorage, table: str) -> list[Partition]:
    """The partitions that have a log."""
    found = (name.rpartition("-") for name in storage.names(f"{table}/_log"))
    return sorted(Partition(table, topic, int(number)) for topic, _, number in found)


def read_log(storage: ArchiveStorage, partition: Partition, before: State = NOTHING) -> State:
    """The state by all entries there are; those that ``before`` knows are not read again."""
    number, upto, files = before.number, before.next, dict(before.files)
    removed: set[str] = set()
    for name in storage.names(partition.log):
        if int(name.removesuffix(".json")) <= before.number:
            continue
        number = int(name.removesuffix(".json"))
        entry = _decode(storage.read(f"{partition.log}/{name}"))
        upto = entry.next
        for path in entry.removed:
            files.pop(path, None)
        removed.update(entry.removed)
        files.update((file.path, file) for file in entry.added)
    return State(number, upto, files, before.removed | removed)


class Log:
    """One partition's log for one who writes to it."""

    def __init__(self, storage: ArchiveStorage, partition: Partition) -> None:
        self.partition = partition
        self._storage = storage
        self._state = NOTHING

    @property
    def next(self) -> int:
        """Where archiving goes on."""
        return self._state.next

    @property
    def files(self) -> Sequence[ArchivedFile]:
        """What counts."""
        return list(self._state.files.values())

    def claim(self, begin: Callable[[], int]) -> int:
        """Take the partition from whoever had it; the offset from which to go on.

        ``begin`` answers that where nothing was ever archived.
        """
        name = secrets.token_hex(8)
        self._storage.abandon(self._below(self.partition.staged))
        while True:
            self.look()
            lying = (
                self._lying()
            )  # before the claim: what whoever comes after us stages is not ours
            upto = begin() if self._state.next < 0 else self._state.next
            if self._create(Entry(upto, claimed_by=name)):
                break
        counting = self._finish(lying)
        for staged in lying - counting:
            self._storage.delete(self._below(staged))
        return upto

    def look(self) -> None:
        """Read what others have written since."""
        self._state = read_log(self._storage, self.partition, self._state)

    def archive(self, upto: int, files: Sequence[ArchivedFile]) -> None:
        """Add staged files with the rows of all offsets from :attr:`next` to before ``upto``.

        They are moved into place by :meth:`settle`. Raises Superseded where another has claimed
        the partition meanwhile, or this very entry was written although that seemed to fail.
        """
        self._append(Entry(upto, tuple(files)))

    def settle(self, files: Iterable[ArchivedFile]) -> None:
        """Move files that count to their names; may be called again."""
        for file in files:
            self._storage.move(self._below(file.staged), self._below(file.path))

    def replace(self, old: Sequence[ArchivedFile], new: Sequence[ArchivedFile]) -> None:
        """Have staged files count instead of others with the same rows.

        Raises Superseded where the partition was claimed meanwhile, or ``old`` was replaced.
        """
        removed = tuple(file.path for file in old)
        self._append(Entry(self._state.next, tuple(new), removed))
        for path in removed:
            self._storage.delete(self._below(path))
        self.settle(new)

    def put_in_place(self) -> None:
        """Finish what someone who was killed has left: move files that count to their names."""
        lying = self._lying()
        self.look()
        self._finish(lying)

    def _append(self, entry: Entry) -> None:
        """Write ``entry`` behind what others have written meanwhile, if that leaves it true."""
        begun = self._state.next
        while not self._create(entry):
            for other in self._since():
                if other.claimed_by or set(other.removed) & set(entry.removed):
                    raise Superseded(f"{self.partition}: another process goes on with it")
            self.look()
            if entry.removed:
                entry = msgspec.structs.replace(entry, next=self._state.next)
            elif self._state.next != begun:
                raise Superseded(f"{self.partition}: archived up to {self._state.next} already")

    def _create(self, entry: Entry) -> bool:
        number = self._state.number + 1
        if not self._storage.create(self._entry(number), _encode(entry)):
            return False
        files = {
            path: file for path, file in self._state.files.items() if path not in entry.removed
        }
        files.update((file.path, file) for file in entry.added)
        removed = self._state.removed | set(entry.removed)
        self._state = State(number, entry.next, files, removed)
        return True

    def _lying(self) -> set[str]:
        """What lies staged."""
        folder = self.partition.staged
        return {f"{folder}/{name}" for name in self._storage.names(self._below(folder))}

    def _finish(self, lying: set[str]) -> set[str]:
        """Move those of ``lying`` that count into place, and answer which these were."""
        ours = [file for file in self._state.files.values() if file.staged in lying]
        if ours:  # whoever added them may not have come to remove what they replace
            for path in self._state.removed - self._state.files.keys():
                self._storage.delete(self._below(path))
        self.settle(ours)
        return {file.staged for file in ours}

    def _since(self) -> Iterator[Entry]:
        """The entries that others have written since we looked."""
        for name in self._storage.names(self.partition.log):
            if int(name.removesuffix(".json")) > self._state.number:
                yield _decode(self._storage.read(f"{self.partition.log}/{name}"))

    def _below(self, path: str) -> str:
        return f"{self.partition.table}/{path}"

    def _entry(self, number: int) -> str:
        return f"{self.partition.log}/{number:0{DIGITS}d}.json"


def files_within(
    state: State, *, shop: str | None, days: tuple[str, str] | None
) -> Iterator[ArchivedFile]:
    """The files of a shop (None: all) and of days (both ends included; None: all)."""
    for file in state.files.values():
        if (shop is None or file.shop == shop) and (days is None or days[0] <= file.day <= days[1]):
            yield file
