"""The control's process, and what it has seen."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

START_SECONDS = 30.0


class Control:
    """When each event came to a consumer of its own."""

    def __init__(self, output: asyncio.StreamReader) -> None:
        self._output = output
        self.seen: dict[str, float] = {}
        """By event id, in seconds of ``time.perf_counter``."""

    async def read(self) -> None:
        """Take down what the process prints, until it ends."""
        while line := await self._output.readline():
            event_id, at = line.split()
            self.seen[event_id.decode()] = float(at)


@asynccontextmanager
async def control(servers: str, topic: str) -> AsyncIterator[Control]:
    """A control that reads."""
    process: Process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.freshness.arrivals", servers, topic, stdout=PIPE
    )
    output = process.stdout
    assert output is not None
    control = Control(output)
    reading: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(START_SECONDS):
            await output.readline()
        reading = asyncio.create_task(control.read())
        yield control
    finally:
        process.terminate()
        await process.wait()
        if reading is not None:
            await reading
