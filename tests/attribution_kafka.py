"""Attribution as a process beside a real Kafka and Redis, and what is sent to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.local.services import EmbeddedService, attribution, master_key
from services.attribution.__main__ import main
from services.attribution.adapters.kept_figures import RedisFigures
from services.recommendations.adapters.letter_key_cache import RememberedLetterKeys
from services.recommendations.adapters.log_topic import KafkaLogTopic
from services.shared.letter_keys import RedisLetterKeys
from services.shared.logged_answer import LoggedAnswer
from services.shared.redis_connection import RedisConnection
from services.shared.sealed_answers import SealedAnswers
from services.shared.sealing import MasterKey, read_master_key
from tests.attribution_parts import SHOP, Figures, Record
from tests.profile_events import Event
from tests.stack import started
from tests.worker_kafka import send

TODAY = int(datetime.now(UTC).timestamp()) // 86_400


class Installation(NamedTuple):
    """A Kafka's topics, a Redis of the test's own, and a folder."""

    servers: str
    prefix: str
    redis_url: str
    folder: Path

    @property
    def master(self) -> MasterKey:
        """The installation's."""
        return read_master_key(master_key(self.folder))

    def settings(self, **more: str) -> dict[str, str]:
        """Those of a process; without its own name in the group."""
        return {
            "KAFKA_SERVERS": self.servers,
            "TOPIC_PREFIX": self.prefix,
            "GROUP": self.prefix + "attribution",
            "REDIS_URL": self.redis_url,
            **more,
        }

    def service(self, name: str = "attribution", **more: str) -> EmbeddedService:
        """A process that was not started."""
        return attribution(self.settings(**more), self.folder / f"{name}.log")

    @contextmanager
    def running(self, name: str = "attribution", **more: str) -> Iterator[EmbeddedService]:
        """A process that is ready."""
        service = self.service(name, **more)
        with started(service):
            service.wait_ready()
            yield service

    def command(self, *arguments: str, **more: str) -> int:
        """Run a command in this process; its status."""
        told = {"ATTUNE_ATTRIBUTION_REDIS_URL": self.redis_url}
        told |= {"ATTUNE_ATTRIBUTION_" + name: value for name, value in more.items()}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in told.items():
                patch.setenv(name, value)
            return main(arguments)

    async def log(self, answers: Sequence[LoggedAnswer]) -> None:
        """Have the log keep answers, as the recommendations server does."""
        redis = RedisConnection(self.redis_url)
        keys = RememberedLetterKeys(RedisLetterKeys(redis, self.master), clock=lambda: 0.0)
        topic = KafkaLogTopic(self.servers, self.prefix + "recommendation-log")
        await topic.write(await SealedAnswers(self.master, keys).seal(answers))
        await topic.close()
        await redis.close()

    def send(self, records: Iterable[Record]) -> None:
        """Have Kafka keep records, each in its topic."""
        some = list(records)
        answers = [one for one in some if isinstance(one, LoggedAnswer)]
        events: list[Event] = [one for one in some if not isinstance(one, LoggedAnswer)]
        if answers:
            asyncio.run(self.log(answers))
        if events:
            asyncio.run(send(self.servers, self.prefix, events))

    def figures(self, shop_id: str = SHOP) -> Figures:
        """What is counted, of the last days."""
        return asyncio.run(self._figures(shop_id))

    async def _figures(self, shop_id: str) -> Figures:
        redis = RedisConnection(self.redis_url)
        try:
            found = await RedisFigures(redis).of_days(shop_id, range(TODAY - 8, TODAY + 2))
        finally:
            await redis.close()
        told = {row: {n: by for n, by in some.items() if by} for row, some in found.items()}
        return {row: some for row, some in told.items() if some}
