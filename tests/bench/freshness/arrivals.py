"""The control: a process that reads the same topic by aiokafka alone and notes when.

What is late here as well was late before any of it was ours: in the producer, the broker, the
client library or the machine. It prints each event's id and the monotonic clock's seconds,
which all processes of a machine share; first a line without either, once it reads.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

PARTITIONS = range(4)
POLL_MS = 1_000


class _Event(msgspec.Struct, rename="camel"):
    event_id: str


async def note(servers: str, topic: str) -> None:
    """Read what is sent from now on, until the process is ended."""
    decode = msgspec.json.Decoder(_Event).decode
    async with AIOKafkaConsumer(bootstrap_servers=servers) as consumer:
        partitions = [TopicPartition(topic, partition) for partition in PARTITIONS]
        consumer.assign(partitions)
        for partition in partitions:
            await consumer.position(partition)
        sys.stdout.write("\n")
        sys.stdout.flush()
        while True:
            polled = await consumer.getmany(timeout_ms=POLL_MS)
            now = time.perf_counter()
            for records in polled.values():
                for record in records:
                    sys.stdout.write(f"{decode(record.value).event_id} {now:.6f}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(note(*sys.argv[1:]))
