"""Logs answers after they were given: never in their way, and never in place of one.

An answer is put into a queue and that is all its call sees of it. A job takes what has gathered,
seals it, and has Kafka keep it. While Kafka or Redis is away the queue grows to its bound; what
comes then is dropped and counted: a list that is not logged is a loss to figures, one that is not
answered is a loss to the shop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from services.recommendations.adapters.log_topic import LogTopic
from services.shared.errors import Unavailable
from services.shared.logged_answer import LoggedAnswer
from services.shared.sealed_answers import AnswerRecord, SealedAnswers

WAITING: Final = 10_000
"""Answers in the queue at most: some ten seconds of a busy server, about 20 MB."""

ROUND: Final = 256
"""Answers that are sealed and sent together."""

LINGER_SECONDS: Final = 0.2
"""How long answers gather before they go: a round costs as much as some ten answers."""

PAUSE_SECONDS: Final = 1.0
"""Before what failed is tried again."""

FLUSH_SECONDS: Final = 5.0
"""How long what is left may take at the end."""

WRITTEN = Counter("recommendation_log_written_total", "Answers that Kafka has.")
DROPPED = Counter("recommendation_log_dropped_total", "Answers that were not logged.", ["cause"])
QUEUE = Gauge("recommendation_log_waiting", "Answers not logged yet.")

_log = structlog.get_logger()


class RecommendationLog:
    """The log; :meth:`run` is a job of the server."""

    def __init__(self, topic: LogTopic, answers: SealedAnswers, *, waiting: int = WAITING) -> None:
        """``waiting`` bounds the queue."""
        self._topic = topic
        self._answers = answers
        self._most = waiting
        self._queue: deque[LoggedAnswer] = deque()
        self._filled = asyncio.Event()

    def log(self, answer: LoggedAnswer) -> None:
        """Have the answer logged soon. Never waits, never raises."""
        if len(self._queue) >= self._most:
            DROPPED.labels("full").inc()
            return
        self._queue.append(answer)
        self._filled.set()

    async def run(self) -> None:
        """Log what comes until cancelled; then log what is left, within :data:`FLUSH_SECONDS`."""
        try:
            while True:
                await self._filled.wait()
                await asyncio.sleep(LINGER_SECONDS)
                try:
                    await self._round()
                except Unavailable as error:
                    _log.warning(
                        "answers_not_logged_yet",
                        code=error.code,
                        reason=str(error),
                        waiting=len(self._queue),
                    )
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            await self._finish()

    async def _round(self) -> None:
        """Log the oldest. They leave the queue when Kafka has them, so none is lost to an error.

        A round that is done again may log an answer twice; its token tells so. Raises Unavailable.
        """
        some = [self._queue[place] for place in range(min(ROUND, len(self._queue)))]
        sealed = await self._sealed(some)
        await self._topic.write(sealed)
        WRITTEN.inc(len(sealed))
        for _ in some:
            self._queue.popleft()
        QUEUE.set(len(self._queue))
        if not self._queue:
            self._filled.clear()

    async def _sealed(self, some: Sequence[LoggedAnswer]) -> list[AnswerRecord]:
        """The records of answers, but of those that cannot be sealed. Raises RedisUnavailable.

        A key or consent that is damaged is one person's; nobody else's answers go for it.
        """
        try:
            return await self._answers.seal(some)
        except ValueError:
            records = []
            for one in some:
                try:
                    records += await self._answers.seal([one])
                except ValueError:
                    _log.exception("answer_not_sealed")
                    DROPPED.labels("key").inc()
            return records

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                while self._queue:
                    await self._round()
        except (TimeoutError, Unavailable) as error:
            DROPPED.labels("end").inc(len(self._queue))
            _log.warning("answers_dropped_at_the_end", reason=repr(error), lost=len(self._queue))
        await self._topic.close()
