"""One worker, and two of one group that share the partitions: what an event costs either way.

The workers have their partitions before the first event comes, as the first of two would
otherwise be done with most of it before the second has joined. Both are on one core: what is
compared is processor time, and with one on each core the second would share its core with
Kafka and Redis, whose caches it would then pay for.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.local.topics import create_topics
from tests.bench.stream.contenders import OURS
from tests.bench.stream.legs import Bench
from tests.bench.stream.load import Record, produce
from tests.bench.stream.measuring import Figures, Run, Topic
from tests.waiting import eventually_async

ASSIGNED: Final = 8
"""Partitions that a group has: of events and of history."""

JOIN_SECONDS: Final = 60.0


async def shared_by(bench: Bench, workers: int, records: Sequence[Record]) -> Figures:
    """Have so many workers fold ``records``, which are sent once all have partitions."""
    servers, group = bench.servers, secrets.token_hex(4)
    topic = Topic(f"{group}.", len(records))
    await create_topics(servers.kafka.servers, prefix=topic.prefix)
    await servers.empty(append_only=True)
    before = await servers.memory()
    run = Run(servers, topic, group, bench.core, bench.folder)
    try:
        logs = [run.start(OURS) for _ in range(workers)]

        async def parted() -> bool:
            return all(_partitions(log) == ASSIGNED / workers for log in logs)

        await eventually_async(parted, within=JOIN_SECONDS)
        sending = asyncio.to_thread(produce, servers.kafka.servers, topic.name, records)
        watched, _ = await asyncio.gather(run.watch(before.dataset), sending)
        return watched.figures()
    finally:
        run.stop()


def _partitions(log: Path) -> int:
    """How many partitions a worker was assigned last, by its log."""
    lines = log.read_text().splitlines() if log.exists() else []
    told = [json.loads(line) for line in lines if '"partitions_assigned"' in line]
    return len(told[-1]["partitions"]) if told else 0
