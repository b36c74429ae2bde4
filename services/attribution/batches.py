"""One batch of one partition: trails are read, followed, and written with what they change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from msgspec.structs import replace

from services.attribution.adapters.consents import Consents
from services.attribution.adapters.trail_store import (
    BatchWrite,
    Letter,
    Name,
    TrailStore,
    TrailWrite,
)
from services.attribution.domain.counts import NO_DAY, VALUE, Counts, figures
from services.attribution.domain.facts import Fact
from services.attribution.domain.fence import Fence
from services.attribution.domain.following import Followed, followed, summed
from services.attribution.domain.joining import expires_at, is_empty
from services.attribution.domain.letter import read_letter, write_letter
from services.attribution.domain.units import Known, due_at
from services.attribution.metrics import FIGURES, REFUSED_WRITES, TRAIL_BYTES, ScenarioNames
from services.attribution.reading import Said, Visit
from services.shared.consent import Consent
from services.shared.personal_data import Person
from services.shared.sealing import MasterKey
from services.shared.trail import Act, Cancel, Shown, Trail, read_trail, write_trail

LETTERS: Final = 500
"""Of the inbox at once."""
DUES: Final = 500
"""Trails whose windows are closed at once."""

_SECOND: Final = 1_000_000


class Surroundings(NamedTuple):
    """What all batches share."""

    store: TrailStore
    consents: Consents
    master: MasterKey
    known: Callable[[str], Known]
    """A shop's experiments."""
    partition_of: Callable[[bytes], int]
    """Where a subject's records lie, by ``shop_id/subject``."""


class Work(NamedTuple):
    """What is to be done to trails."""

    facts: Mapping[Name, Sequence[Fact]]
    """None for a trail of which only a window closes."""
    heard: Mapping[Name, Sequence[Act | Cancel]]
    """What other trails have told."""
    forgotten: frozenset[Name]
    """Trails of those who do not allow that one is kept."""
    letters: int
    """How many of the inbox are in it."""


class Batches:
    """Counts batches."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._scenarios = ScenarioNames()

    async def has_work(self, partition: int, now: int) -> bool:
        """Whether a letter has come, or a window closes by ``now``. Raises RedisUnavailable."""
        store = self._around.store
        return bool(
            await store.inbox(partition, 1) or await store.due(partition, now // _SECOND, 1)
        )

    async def count(
        self, partition: int, said: Said, *, before: Fence, after: Fence, now: int
    ) -> bool:
        """Have all that is said count once; False, and nothing, where the fence was moved.

        ``now`` is how far the partition's records have come, in microseconds since 1970. May be
        done again whatever became of it. Raises RedisUnavailable.
        """
        store = self._around.store
        work = await self._work(partition, said, now)
        names = list(work.facts)
        held = await store.read(partition, names)
        if held.fence != before.text:
            REFUSED_WRITES.inc()
            return False
        done = {
            name: self._followed(name, value, work, now)
            for name, value in zip(names, held.trails, strict=True)
            if name not in work.forgotten
        }
        await store.post(_letters(chain.from_iterable(one.letters for one in done.values())))
        grown = summed([*(one.grown for one in done.values()), *map(_of_nobody, said.nobody)])
        rows = list(grown)
        kept = dict(zip(rows, await store.rows(partition, rows), strict=True))
        trails = [self._write(name, one.trail) for name, one in done.items()]
        trails += [TrailWrite(name, b"", 0, None) for name in work.forgotten]
        counts = {row: _grown(kept[row], measures) for row, measures in grown.items()}
        write = BatchWrite(before.text, after.text, trails, counts, work.letters)
        if not await store.write(partition, write):
            REFUSED_WRITES.inc()
            return False
        self._show(grown)
        return True

    async def _work(self, partition: int, said: Said, now: int) -> Work:
        around = self._around
        letters = await around.store.inbox(partition, LETTERS)
        due = await around.store.due(partition, now // _SECOND, DUES)
        people = list(dict.fromkeys([*said.facts, *(visit.visitor for visit in said.visits)]))
        allowed = dict(zip(people, await around.consents.of(people), strict=True))
        names = {person: self._name(person) for person in people}
        facts: defaultdict[Name, list[Fact]] = defaultdict(list)
        heard: defaultdict[Name, list[Act | Cancel]] = defaultdict(list)
        for person, some in said.facts.items():
            facts[names[person]] += _allowed(some, allowed[person])
        for visit in said.visits:
            facts[names[visit.user]] += self._told(visit, names[visit.visitor], allowed)
        for letter in letters:
            text, acts = read_letter(letter)
            heard[_named(text)] += acts
        for name in (*heard, *due):
            facts[name] += ()
        forgotten = [names[each] for each in said.facts if not allowed[each].personalization]
        return Work(facts, heard, frozenset(forgotten), len(letters))

    def _followed(self, name: Name, value: bytes, work: Work, now: int) -> Followed:
        trail = read_trail(value) if value else Trail(name.shop_id)
        known = self._around.known(name.shop_id)
        heard = work.heard.get(name, ())
        return followed(trail, work.facts[name], known, now=now, heard=heard)

    def _told(
        self, visit: Visit, visitor: Name, allowed: Mapping[Person, Consent]
    ) -> list[Act | Cancel]:
        """The visit's facts, addressed to the visitor's trail where the visitor allows that."""
        there = self._around.partition_of(visit.visitor.name)
        to = f"{there} {visitor.text}"
        consent, own = allowed[visit.visitor], allowed[visit.user]
        return [
            replace(fact, to=to if consent.allows(at=fact.at, appended=fact.at) else "")
            for fact in visit.facts
            if own.allows(at=fact.at, appended=fact.at)
        ]

    def _write(self, name: Name, trail: Trail) -> TrailWrite:
        if is_empty(trail):
            return TrailWrite(name, b"", 0, None)
        value = write_trail(trail)
        TRAIL_BYTES.observe(len(value))
        due = due_at(trail, self._around.known(name.shop_id))
        ends = expires_at(trail) // _SECOND + 1
        return TrailWrite(name, value, ends, None if due is None else -(-due // _SECOND))

    def _name(self, person: Person) -> Name:
        return Name(person.shop_id, self._around.master.pseudonym(person.name))

    def _show(self, grown: Counts) -> None:
        for row, measures in grown.items():
            if row.day == NO_DAY or row.names[-1]:  # an arm's, which are in the others as well
                continue
            label = self._scenarios.label(str(row.names[0]))
            for name, by in measures.items():
                if by > 0 and not name.startswith(VALUE):
                    FIGURES.labels(label, name).inc(by)


def _named(text: str) -> Name:
    shop_id, _, pseudonym = text.partition("/")
    return Name(shop_id, bytes.fromhex(pseudonym))


def _allowed(facts: Iterable[Fact], consent: Consent) -> list[Fact]:
    """What may be kept; what happened before an erasure stays forgotten."""
    return [fact for fact in facts if consent.allows(at=fact.at, appended=fact.at)]


def _letters(told: Iterable[Act | Cancel]) -> list[Letter]:
    letters = []
    for fact in told:
        partition, _, name = fact.to.partition(" ")
        letters.append(Letter(int(partition), write_letter(name, fact)))
    return letters


def _of_nobody(one: tuple[str, Shown]) -> Counts:
    shop_id, shown = one
    return figures(Trail(shop_id, shown=(shown,)))


def _grown(kept: Mapping[str, int], by: Mapping[str, int]) -> dict[str, int]:
    grown = dict(kept)
    for name, value in by.items():
        grown[name] = grown.get(name, 0) + value
    return grown
