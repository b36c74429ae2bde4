"""From records of both topics to what they say, shopper by shopper."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from services.attribution.domain.facts import Fact, answer_facts, event_facts
from services.attribution.metrics import RECORDS
from services.shared.errors import EventRefused
from services.shared.event_age import AgeRule, first_appended
from services.shared.event_codec import decode_event
from services.shared.personal_data import Person
from services.shared.sealed_answers import SealedAnswers
from services.shared.subject import subject_of
from services.shared.trail import Act, Cancel, Shown

LOG: Final = "recommendation-log"
EVENTS: Final = "shopper-events"


class Visit(NamedTuple):
    """What a user did as a visitor who had signed in; it is not among the user's other facts."""

    user: Person
    visitor: Person
    facts: Sequence[Act | Cancel]


class Said(NamedTuple):
    """What a batch says."""

    facts: Mapping[Person, Sequence[Fact]]
    nobody: Sequence[tuple[str, Shown]]
    """Lists with their shops, of calls that named nobody."""
    visits: Sequence[Visit]


class Reader:
    """Reads records; what cannot be read is counted and says nothing."""

    def __init__(self, answers: SealedAnswers, age: AgeRule) -> None:
        self._answers = answers
        self._age = age

    async def read(self, log: Sequence[Any], events: Sequence[Any]) -> Said:
        """What records of the log and of events say. Raises RedisUnavailable."""
        facts: defaultdict[Person, list[Fact]] = defaultdict(list)
        nobody: list[tuple[str, Shown]] = []
        visits: list[Visit] = []
        sealed = [(record.key, record.value, record.headers) for record in log]
        opened = await self._answers.open(sealed) if sealed else []
        RECORDS.labels(LOG, "unreadable").inc(opened.count(None))
        RECORDS.labels(LOG, "taken").inc(len(opened) - opened.count(None))
        for record, answer in zip(log, opened, strict=True):
            if answer is None:
                continue
            shown, exposures = answer_facts(answer, record.timestamp * 1_000)
            if answer.subject:
                facts[Person(answer.shop_id, answer.subject)] += (shown, *exposures)
            else:
                nobody.append((answer.shop_id, shown))
        taken = len(events)
        for record in events:
            try:
                self._take(record, facts, visits)
            except EventRefused as refusal:
                RECORDS.labels(EVENTS, refusal.code).inc()
                taken -= 1
        RECORDS.labels(EVENTS, "taken").inc(taken)
        return Said(facts, nobody, visits)

    def _take(
        self, record: Any, facts: defaultdict[Person, list[Fact]], visits: list[Visit]
    ) -> None:
        """Raises EventRefused."""
        event = decode_event(record.key, record.value, record.headers)
        appended = first_appended(record.timestamp, record.headers) * 1_000
        self._age.check(event.at, appended)
        user = Person(event.shop_id, event.subject)
        acts: list[Act | Cancel] = []
        for fact in event_facts(event, appended):
            if isinstance(fact, Act | Cancel) and event.user_id and event.visitor_id:
                acts.append(fact)
            else:
                facts[user].append(fact)
        if acts:
            facts[user] += ()
            visitor = subject_of("", event.visitor_id)
            visits.append(Visit(user, Person(event.shop_id, visitor), acts))
