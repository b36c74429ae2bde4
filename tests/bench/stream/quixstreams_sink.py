"""A contender: quixstreams with a batching sink, its own way of writing to a database.

Runs in ``.venv-bench``. Its checkpoint flushes the sink, partition after partition, and then
commits; so the sink asks Redis once a checkpoint whether all is on disk.
"""

from __future__ import annotations

import asyncio

from quixstreams import Application
from quixstreams.sinks.base import BatchingSink, SinkBatch

from tests.bench.stream.job import Job, open_job, runner, told

CHECKPOINT_SECONDS = 1.0
"""As often as the worker commits; its default, 5 s, makes it no faster and its batches larger."""


class ProfilesSink(BatchingSink):  # type: ignore[misc]  # its package is in another environment
    """Folds what has come since the last checkpoint."""

    def __init__(self, loop: asyncio.Runner, job: Job) -> None:
        super().__init__()
        self._loop = loop
        self._job = job

    def write(self, batch: SinkBatch) -> None:
        """Fold the batch of one partition."""
        self._loop.run(self._job.fold(batch.partition, list(batch)))

    def flush(self) -> None:
        """Fold all partitions' batches, and wait for the disk."""
        super().flush()
        self._loop.run(self._job.safe())


def main() -> None:
    """Consume until the process is ended."""
    settings = told()
    with runner() as loop:
        app = Application(
            broker_address=settings.kafka_servers,
            consumer_group=settings.group,
            auto_offset_reset="earliest",
            auto_create_topics=False,
            commit_interval=CHECKPOINT_SECONDS,
            loglevel="WARNING",
        )
        topic = app.topic(
            settings.events_topic, key_deserializer="bytes", value_deserializer="bytes"
        )
        job = loop.run(open_job(settings))
        app.dataframe(topic).sink(ProfilesSink(loop, job))
        app.run()


if __name__ == "__main__":
    main()
