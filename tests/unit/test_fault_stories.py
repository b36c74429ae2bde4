"""The stories that faults are tried with: made by their seed alone, and judged fact by fact."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest

from services.shared.errors import EventRefused
from services.shared.event_age import AgeRule
from services.shared.event_codec import decode_event
from tests.fault.chaos.__main__ import mutant_rows, rows
from tests.fault.chaos.faults import WAYS
from tests.fault.chaos.finding import TRIES, seeds_against
from tests.fault.chaos.mutants import MUTANTS
from tests.fault.chaos.playing import Outcome
from tests.fault.chaos.shopping import Sent
from tests.fault.chaos.story import KINDS, SET_BACK, Story, story
from tests.fault.chaos.verdict import difference, expected
from tests.profile_events import NOON
from tests.profile_oracle import KEPT, micros

SEEDS = range(1, 21)
COUNTED = {"views", "clicks", "carts", "purchases"}


def told(seed: int) -> Story:
    return story(seed, name="shop", now=NOON)


def records(of: Story) -> list[Sent]:
    return [record for wave in of.waves for record in wave.records]


def test_a_seed_makes_one_story() -> None:
    """To the last byte and moment; another seed makes another one."""
    assert told(7) == told(7)
    assert told(7) != told(8)


def test_every_fault_is_told_of() -> None:
    """Each kind has a way to come about, and stories have them all."""
    assert {*KINDS, SET_BACK} == WAYS.keys()
    assert sum((told(seed).faults for seed in SEEDS), Counter()).keys() == WAYS.keys()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_sent_is_what_it_is_called(seed: int) -> None:
    """Events are accepted, poison is refused, whatever it is that the worker takes exception to."""
    rule, appended = AgeRule(timedelta(days=7)), micros(NOON.isoformat())
    for key, value, event in records(told(seed)):
        try:
            rule.check(decode_event(key, value, ()).at, appended)
        except EventRefused:
            assert event is None
        else:
            assert event is not None


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_counted_does_not_overflow(seed: int) -> None:
    """Else a profile would forget what it was counted for, and the oracle could not say."""
    one = told(seed)
    facts = expected(records(one), one.shops)
    held = Counter((name, kind) for name, kind, _ in facts if kind in COUNTED)
    assert {kind for _, kind in held} == COUNTED
    assert all(count < KEPT[kind] for (_, kind), count in held.items())


@pytest.mark.parametrize("mutant", MUTANTS)
def test_there_are_stories_against_every_wrong_worker(mutant: str) -> None:
    """As many as may be tried, whatever becomes of the generator."""
    assert len(list(islice(seeds_against(mutant), TRIES))) == TRIES


def test_facts_too_few_and_too_many() -> None:
    """Each is told, and how often."""
    verdict = difference(Counter({("a",): 2, ("b",): 1}), Counter({("b",): 1, ("c",): 3}))
    assert (verdict.lost, verdict.doubled) == (2, 3)
    assert verdict.words == ["lost 2 of ('a',)", "beyond 3 of ('c',)"]
    assert difference(Counter({("a",): 1}), Counter({("a",): 1})).is_right


def test_an_event_that_is_lost_or_doubled_shows() -> None:
    """In its profile, and in what is counted."""
    one = told(1)
    sent = [record for record in records(one) if record.event and "view" in record.event]
    all_of_it, shops = expected(sent, one.shops), one.shops
    last = max(sent, key=lambda record: str(record.event and record.event["occurredAt"]))
    without = [record for record in sent if record != last]
    verdict = difference(all_of_it, expected(without, shops))
    assert verdict.lost >= 1
    assert difference(all_of_it, expected([*sent, last], shops)).is_right


def test_the_figures_of_a_run() -> None:
    """Sums, and the spread over stories."""
    outcomes = [
        Outcome(
            1, Counter({"zombie": 2}), 100, 1, 0, 0, ["x"], 2.0, ["lost 1 of it"], Path("logs/1")
        ),
        Outcome(2, Counter({"redis_still": 1}), 50, 0, 0, 0, [], 1.0, [], Path("logs/2")),
    ]
    found = {row.measure: (row.value, row.spread) for row in rows(outcomes)}
    assert found["faults"] == (3, (1, 2))
    assert found["lost"] == (1, (0, 1))
    assert found["stories that failed"] == (1, (0, 1))
    assert [row.value for row in mutant_rows([True, False])] == [1]
    assert mutant_rows([]) == []
    assert "make fault SEED=1" in outcomes[0].told()
