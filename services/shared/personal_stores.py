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
from services.shared.log_persons import LogPersons
from services.shared.personal_data import PersonalStore
from services.shared.redis_connection import Redis
from services.shared.redis_persons import RedisPersons
from services.shared.sealing import MasterKey
from services.shared.topic_persons import TopicPersons
from services.shared.trail_persons import TrailPersons

EVENT_TOPICS: Final = ("shopper-events", "shopper-history")

NOTHING_PERSONAL: Final = {
    "GENERATION_REDIS_KEY": "two numbers",
    "folded_redis_key": "offsets, and which Redis servers they are true of",
    "trend_redis_key": "how many shoppers, by product and hour; nobody is named",
    "trend_fence_redis_key": "an offset",
    "trend_partitions_redis_key": "numbers of partitions",
    "ATTRIBUTION_PARTITIONS_REDIS_KEY": "numbers of partitions",
    "attribution_fence_redis_key": "offsets",
    "figures_redis_key": "sums over lists, by how they were made",
    "stopped_arms_redis_key": "arms of experiments, and which guard has fallen",
    "experiments_redis_key": "sums over shoppers, by arm",
    "experiment_course_redis_key": "what looks at an experiment have seen",
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
        LogPersons(redis, kafka_servers, topics["recommendation-log"], master),
        TrailPersons(redis, master),
        *(TopicPersons(kafka_servers, topics[name], place=name) for name in EVENT_TOPICS),
    )
