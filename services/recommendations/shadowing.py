"""Asks the model in the shadow what others were asked, after those have their answer, and compares.

What the event loop computes here delays whoever calls just then, by the time of one answer. So
questions wait in a short queue, are answered one at a time with :data:`REST` times as long in
between, and are dropped where the loop is busy: of a sample nobody misses some.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import structlog
from prometheus_client import Counter, Histogram

from services.recommendations.adapters.model import Model
from services.recommendations.adapters.model_shelf import Shelf
from services.recommendations.domain.answer import Answer
from services.recommendations.domain.comparison import Compared, Tally, failure, tally_of

QUEUE: Final = 16
REST: Final = 9
"""So a tenth of the event loop's time is the shadow's at most."""
BUSY_SECONDS: Final = 0.002
"""A loop that needs so long to come back to a task has other things to do."""
SCENARIOS: Final = 100
"""Of a shop, that are told apart."""
OTHER: Final = "other"

ANSWERS = Counter(
    "shadow_answers_total", "Questions to the model in the shadow.", ["shop_id", "outcome"]
)
OVERLAP = Histogram(
    "shadow_overlap_share",
    "Of the ten first products, those that the model in the shadow has, too.",
    ["shop_id", "scenario"],
    buckets=tuple(tenth / 10 for tenth in range(11)),
)
SECONDS = Histogram(
    "shadow_answer_seconds",
    "Time for the same answers, by role.",
    ["shop_id", "role"],
    buckets=(0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
)

_log = structlog.get_logger()

Outcome = Literal["compared", "failed", "dropped"]


class Question(NamedTuple):
    """What was asked and answered."""

    shop_id: str
    scenario: str
    make: Callable[[Model], Answer]
    answer: Answer
    seconds: float
    """How long the answer took."""


class Shadowing:
    """See the module."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._questions: deque[Question] = deque()
        self._wake = asyncio.Event()
        self._seen: dict[str, Compared] = {}

    def ask(self, question: Question) -> None:
        """Let the shadow answer it, some time or never; takes no time."""
        if len(self._questions) >= QUEUE:
            ANSWERS.labels(question.shop_id, "dropped").inc()
            return
        self._questions.append(question)
        self._wake.set()

    def seen(self, shop_id: str) -> Compared | None:
        """What is known of the shop's present pair of bundles, if anything is."""
        return self._seen.get(shop_id)

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._wake.wait()
            started = time.perf_counter()
            await asyncio.sleep(0)
            is_busy = time.perf_counter() - started > BUSY_SECONDS
            question = self._questions.popleft()
            if not self._questions:
                self._wake.clear()
            if is_busy:
                ANSWERS.labels(question.shop_id, "dropped").inc()
                continue
            started = time.perf_counter()
            self._answer(question)
            await asyncio.sleep(REST * (time.perf_counter() - started))

    def _answer(self, question: Question) -> None:
        shop_id, shelved = question.shop_id, self._shelf.of(question.shop_id)
        if shelved.shadow is None:
            return
        model = shelved.shadow.model
        started = time.perf_counter()
        outcome: Outcome = "compared"
        try:
            answer = question.make(model)
        except Exception as error:  # nobody sees it; the report does
            tally, outcome = failure(), "failed"
            _log.warning(
                "shadow_failed", shop_id=shop_id, message=f"{type(error).__name__}: {error}"
            )
        else:
            seconds = time.perf_counter() - started
            tally = tally_of(
                question.answer, answer, served_seconds=question.seconds, shadow_seconds=seconds
            )
            SECONDS.labels(shop_id, "served").observe(question.seconds)
            SECONDS.labels(shop_id, "shadow").observe(seconds)
        ANSWERS.labels(shop_id, outcome).inc()
        scenario = self._add(
            shop_id, shelved.served.version, model.version, question.scenario, tally
        )
        if tally.compared:
            OVERLAP.labels(shop_id, scenario).observe(tally.overlap)

    def _add(self, shop_id: str, served: str, shadow: str, scenario: str, tally: Tally) -> str:
        """Count it with its scenario, and answer by which name."""
        seen = self._seen.get(shop_id)
        if seen is None or (seen.served, seen.shadow) != (served, shadow):
            seen = self._seen[shop_id] = Compared(served=served, shadow=shadow, scenarios={})
        if scenario not in seen.scenarios and len(seen.scenarios) >= SCENARIOS:
            scenario = OTHER
        seen.scenarios[scenario] = seen.scenarios.get(scenario, Tally()) + tally
        return scenario
