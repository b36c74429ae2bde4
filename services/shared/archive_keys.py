"""The keys of persons in the archive: one that is deleted has erased all that is sealed under it.

A key is random and kept wrapped by the master key, in files beside the data, since they must
outlive all that the archive is read for. A file of keys is put once and never changed. To
erase a person a *tombstone* is put, which makes the keys void that the person has had until
then; then each file that holds one is put anew without it, and the old one deleted. Whoever
puts a file of keys looks at the tombstones again afterwards, so that no key comes back by two
who do this at the same time.

A person may have several keys: two processes that meet one at the same moment make one each.
What is sealed says under which. A key takes 89 bytes, on disk and in memory.
"""

from __future__ import annotations

import os
import secrets
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from services.shared.archive_storage import ArchiveStorage
from services.shared.sealing import PSEUDONYM_BYTES, MasterKey, Seal

FOLDER: Final = "_keys"
KEYS: Final = ".keys"
TOMBSTONES: Final = ".erased"
ID_BYTES: Final = 4
WRAPPED_BYTES: Final = 61
SEALS_KEPT: Final = 100_000
"""Persons whose key is ready to be used; beyond them the one longest unused goes."""

RECORD_BYTES: Final = PSEUDONYM_BYTES + ID_BYTES + 8 + WRAPPED_BYTES
"""Whose key it is, its id, when it was made (big-endian), the key as it may be kept."""

_MADE_AT: Final = slice(PSEUDONYM_BYTES + ID_BYTES, PSEUDONYM_BYTES + ID_BYTES + 8)
_FIRST: Final = slice(0, 8)
PUT_KEPT: Final = 100_000
"""Records that are held one by one before they are sorted in among the others."""

_ID: Final = slice(PSEUDONYM_BYTES, PSEUDONYM_BYTES + ID_BYTES)
_WRAPPED: Final = slice(-WRAPPED_BYTES, None)
_TOMBSTONE: Final = struct.Struct(f">{PSEUDONYM_BYTES}sq")


class Erased(NamedTuple):
    """A person's tombstone."""

    pseudonym: bytes
    at: int
    """Keys made until then, in microseconds since 1970, are void."""


class PersonSeal(NamedTuple):
    """A person's key, ready to be used."""

    id: bytes
    seal: Seal


class KeyFiles:
    """The files, read and put; knows nothing of what the keys are for."""

    def __init__(self, storage: ArchiveStorage) -> None:
        self._storage = storage

    def names(self) -> frozenset[str]:
        """All files: names of keys end in :data:`KEYS`, of tombstones in :data:`TOMBSTONES`."""
        return frozenset(self._storage.names(FOLDER))

    def read(self, name: str) -> Any:
        """The records of a file of keys, [n, RECORD_BYTES]. Raises FileNotFoundError."""
        content = self._storage.read(f"{FOLDER}/{name}")
        return records_of(content)

    def erased(self, names: Iterable[str]) -> dict[bytes, int]:
        """The tombstones among ``names``: persons, and until when their keys are void."""
        found: dict[bytes, int] = {}
        for name in names:
            if name.endswith(TOMBSTONES):
                content = self._storage.read(f"{FOLDER}/{name}")
                whole = len(content) // _TOMBSTONE.size * _TOMBSTONE.size
                for pseudonym, at in _TOMBSTONE.iter_unpack(content[:whole]):
                    found[pseudonym] = max(at, found.get(pseudonym, at))
        return found

    def put(self, records: Any) -> str:
        """Put a file of keys; its name."""
        name = secrets.token_hex(8) + KEYS
        self._storage.put(f"{FOLDER}/{name}", records.tobytes())
        return name

    def bury(self, erased: Erased) -> None:
        """Put a tombstone, and delete the keys that it makes void; what erasing is."""
        self._storage.abandon(FOLDER)  # a crash may have left keys there
        content = _TOMBSTONE.pack(*erased)
        self._storage.put(f"{FOLDER}/{secrets.token_hex(8)}{TOMBSTONES}", content)
        self.clean()

    def clean(self) -> None:
        """Put anew each file that holds void keys, until there is none."""
        seen: frozenset[str] = frozenset()
        while (names := self.names()) != seen:
            seen = names
            erased = self.erased(names)
            for name in names:
                if name.endswith(KEYS):
                    self._clean_file(name, erased)

    def merge(self) -> int:
        """Make one file of all; answers how many there were."""
        names = [name for name in self.names() if name.endswith(KEYS)]
        if len(names) > 1:
            kept = np.concatenate([self._read_if_there(name) for name in names])
            self.put(np.unique(kept, axis=0))
            for name in names:
                self._storage.delete(f"{FOLDER}/{name}")
        self.clean()
        return len(names)

    def _clean_file(self, name: str, erased: Mapping[bytes, int]) -> None:
        records = self._read_if_there(name)
        void = is_void(records, erased)
        if void.any():
            if not void.all():
                self.put(records[~void])
            self._storage.delete(f"{FOLDER}/{name}")

    def _read_if_there(self, name: str) -> Any:
        try:
            return self.read(name)
        except FileNotFoundError:  # somebody else has put it anew, or merged it
            return records_of(b"")


def records_of(content: bytes) -> Any:
    """Records, [n, RECORD_BYTES] of bytes."""
    return np.frombuffer(content, np.uint8).reshape(-1, RECORD_BYTES)


def is_void(records: Any, erased: Mapping[bytes, int]) -> Any:
    """Which of the records a tombstone is for, [n] of bool."""
    void = np.zeros(len(records), bool)
    if erased and len(records):
        firsts = np.array([int.from_bytes(name[_FIRST], "big") for name in erased], np.uint64)
        for at in np.flatnonzero(np.isin(_numbers(records, _FIRST), firsts)):
            record = records[at].tobytes()
            until = erased.get(record[:PSEUDONYM_BYTES])
            made_at = int.from_bytes(record[_MADE_AT], "big")
            void[at] = until is not None and made_at <= until
    return void


def _numbers(records: Any, where: slice) -> Any:
    """Eight bytes of each record as a number, [n]."""
    return np.ascontiguousarray(records[:, where]).view(">u8").ravel().astype(np.uint64)


class PersonKeys:
    """The keys that there are, and those that are made; for one thread at a time."""

    def __init__(
        self, files: KeyFiles, master: MasterKey, *, now_micros: Callable[[], int]
    ) -> None:
        """Nothing is read before :meth:`look`."""
        self._files = files
        self._master = master
        self._now = now_micros
        self._names: frozenset[str] = frozenset()
        self._records = records_of(b"")
        self._firsts = np.empty(0, np.uint64)
        self._erased: dict[bytes, int] = {}
        self._new: dict[bytes, bytes] = {}
        """Records that are not put yet, by person."""
        self._put: dict[bytes, bytes] = {}
        """Records that were put since all files were read."""
        self._seals: OrderedDict[tuple[bytes, bytes], PersonSeal] = OrderedDict()
        self._usual: dict[bytes, PersonSeal] = {}

    def look(self) -> None:
        """Read what others have put or deleted."""
        while (names := self._files.names()) != self._names:
            try:
                self._take_in(names)
            except FileNotFoundError:  # put anew by another just now
                continue

    def erased_at(self, pseudonym: bytes) -> int | None:
        """Until when the person is forgotten, in microseconds since 1970; None: nothing is."""
        return self._erased.get(pseudonym)

    def for_sealing(self, pseudonym: bytes) -> PersonSeal:
        """The key under which to seal; a new one where the person has none.

        What is sealed under a new one may be kept once :meth:`save` has returned.
        """
        if (ready := self._usual.get(pseudonym)) is not None:
            return ready
        record = next(self._of(pseudonym), None)
        made = self._ready(pseudonym, record) if record else self._make(pseudonym)
        self._usual[pseudonym] = made
        return made

    def for_opening(self, pseudonym: bytes, key_id: bytes) -> Seal | None:
        """The key under which something was sealed; None where it is there no more."""
        if (ready := self._seals.get((pseudonym, key_id))) is not None:
            self._seals.move_to_end((pseudonym, key_id))
            return ready.seal
        for record in self._of(pseudonym):
            if record[_ID] == key_id:
                return self._ready(pseudonym, record).seal
        return None

    def save(self) -> bool:
        """Put the new keys; False where one is void already: then seal all again.

        That is so where its person was erased just now by another process.
        """
        if not self._new:
            return True
        records = records_of(b"".join(self._new.values()))
        self._names |= {self._files.put(records)}
        self._put.update(self._new)
        self._new.clear()
        if len(self._put) > PUT_KEPT:
            self._sort(np.concatenate([self._records, records_of(b"".join(self._put.values()))]))
            self._put.clear()
        self.look()
        if is_void(records, self._erased).any():
            self._files.clean()
            self.look()
            return False
        return True

    def has(self, pseudonym: bytes) -> bool:
        """Whether the person has a key."""
        return next(self._of(pseudonym), None) is not None

    def _take_in(self, names: frozenset[str]) -> None:
        """Make ours what the files say. Raises FileNotFoundError."""
        known = self._names if self._names <= names else frozenset()
        read = [self._files.read(name) for name in names - known if name.endswith(KEYS)]
        erased = self._files.erased(names)
        if not known:
            self._put.clear()
        records = np.concatenate([self._records, *read] if known else [self._records[:0], *read])
        self._sort(records[~is_void(records, erased)])
        self._forget([name for name, at in erased.items() if self._erased.get(name) != at])
        self._names, self._erased = names, erased

    def _sort(self, records: Any) -> None:
        firsts = _numbers(records, _FIRST)
        order = np.argsort(firsts, kind="stable")
        self._records, self._firsts = records[order], firsts[order]

    def _forget(self, erased: Iterable[bytes]) -> None:
        for pseudonym in erased:
            self._new.pop(pseudonym, None)
            self._put.pop(pseudonym, None)
            self._usual.pop(pseudonym, None)
            for known in [known for known in self._seals if known[0] == pseudonym]:
                del self._seals[known]

    def _of(self, pseudonym: bytes) -> Iterator[bytes]:
        """The person's records."""
        for made in (self._new, self._put):
            if pseudonym in made:
                yield made[pseudonym]
        first = np.uint64(int.from_bytes(pseudonym[_FIRST], "big"))
        at = int(self._firsts.searchsorted(first))
        while at < len(self._firsts) and self._firsts[at] == first:
            record = self._records[at].tobytes()
            if record[:PSEUDONYM_BYTES] == pseudonym:
                yield record
            at += 1

    def _make(self, pseudonym: bytes) -> PersonSeal:
        key, key_id = self._master.new_person_key(), os.urandom(ID_BYTES)
        made_at = max(self._now(), self._erased.get(pseudonym, -1) + 1)
        wrapped = self._master.wrap(key, pseudonym=pseudonym)
        self._new[pseudonym] = pseudonym + key_id + made_at.to_bytes(8, "big") + wrapped
        return self._keep(pseudonym, key_id, key)

    def _ready(self, pseudonym: bytes, record: bytes) -> PersonSeal:
        key = self._master.unwrap(record[_WRAPPED], pseudonym=pseudonym)
        return self._keep(pseudonym, record[_ID], key)

    def _keep(self, pseudonym: bytes, key_id: bytes, key: bytes) -> PersonSeal:
        made = self._seals[pseudonym, key_id] = PersonSeal(key_id, Seal(key))
        if len(self._seals) > SEALS_KEPT:
            (gone, _), _ = self._seals.popitem(last=False)
            self._usual.pop(gone, None)
        return made
