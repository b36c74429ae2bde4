"""A contender: aiokafka alone, as its documentation shows batches; nothing of what Faust adds.

It has no answer to partitions that move while a batch is in work, to topics made anew, or to a
Redis that fails over: it is what consuming costs at least in this client library.
"""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.profiles.settings import Settings
from tests.bench.stream.job import COMMIT_SECONDS, Job, open_job, run

POLL_MS = 1_000


async def consume(settings: Settings) -> None:
    """Fold what each poll brings, partitions overlapped; commit what is safe every second."""
    job = await open_job(settings)
    folded: dict[TopicPartition, int] = {}
    async with (
        AIOKafkaConsumer(
            settings.events_topic,
            bootstrap_servers=settings.kafka_servers,
            group_id=settings.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        ) as consumer,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(_commit_always(consumer, job, folded))
        while True:
            polled = await consumer.getmany(timeout_ms=POLL_MS)
            folds = [job.fold(tp.partition, records) for tp, records in polled.items()]
            await asyncio.gather(*folds)
            folded.update({tp: records[-1].offset + 1 for tp, records in polled.items()})


async def _commit_always(
    consumer: AIOKafkaConsumer, job: Job, folded: dict[TopicPartition, int]
) -> None:
    while True:
        await asyncio.sleep(COMMIT_SECONDS)
        offsets = dict(folded)
        if offsets:
            await job.safe()
            await consumer.commit(offsets)


if __name__ == "__main__":
    run(consume)
