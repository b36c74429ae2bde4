"""The registry: every store that holds something of persons, and every place that does not.

A new key in Redis, a new topic or a new table of the archive belongs into one of the two; a
test knows all places there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.shared.archive_persons import ArchivedPersons
from services.shared.archive_storage import ArchiveStorage
from services.shared.letter_persons import LetterPersons
from services.shared.personal_data import PersonalStore
from services.shared.redis_connection import Redis
from services.shared.redis_persons import RedisPersons
from services.shared.sealing import MasterKey
from services.shared.topic_persons import TopicPersons

EVENT_TOPICS: Final = ("shopper-events", "shopper-history")

NOTHING_PERSONAL: Final = {
    "GENERATION_REDIS_KEY": "two numbers",
    "folded_redis_key": "offsets, and which Redis servers they are true of",
    "trend_redis_key": "how many shoppers, by product and hour; nobody is named",
    "trend_fence_redis_key": "an offset",
    "trend_partitions_redis_key": "numbers of partitions",
    "catalog": "products, and the merchants who sell them",
    "offers": "prices and stock",
}
"""Other places, and what lies there."""


def personal_stores(
    *,
    redis: Redis,
    kafka_servers: str,
    topics: Mapping[str, str],
    archive: ArchiveStorage,
    master: MasterKey,
) -> tuple[PersonalStore, ...]:
    """All stores; ``topics`` are the topics' names in this installation, by their usual ones.

    Where nothing is archived, ``archive`` is an empty folder.
    """
    return (
        RedisPersons(redis),
        ArchivedPersons(archive, master, frozenset(EVENT_TOPICS)),
        LetterPersons(redis, kafka_servers, topics["dead-letters"], master),
        *(TopicPersons(kafka_servers, topics[name], place=name) for name in EVENT_TOPICS),
    )
