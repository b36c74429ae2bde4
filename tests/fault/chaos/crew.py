"""The workers of a story: started, lost, started again, and counted when they end unasked."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import dropwhile
from pathlib import Path
from typing import Any

from deploy.local.services import EmbeddedService
from services.profiles.settings import PREFIX
from tests.waiting import PAUSE, eventually_async

WORKER = "services.profiles"
GRACE_SECONDS = 60.0
"""What the chart gives a worker to end."""

CLEAN = (0, -signal.SIGTERM)
"""The latter of one that was still starting, and had not begun to listen for it."""

AT_WORK_WITHIN = 60.0
"""So soon a worker is that was started, if servers come back meanwhile."""


class Member:
    """One worker; its process may be another one after each start."""

    def __init__(self, module: str, number: int, settings: Mapping[str, str], folder: Path) -> None:
        self._module = module
        self._number = number
        self._settings = settings
        self._folder = folder
        self._lives = 0
        self.is_taken = False
        """Whether a fault is at it; then nobody else touches it."""
        self.start()

    def start(self) -> None:
        """Start it, with a log of its own."""
        self._lives += 1
        self.service = EmbeddedService(
            self._module,
            prefix=PREFIX,
            port_setting="HEALTH_PORT",
            settings=self._settings,
            log=self._folder / f"worker-{self._number}-{self._lives}.log",
        )
        self.service.start()

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone."""
        return self.service.process.poll() is not None

    @property
    def has_joined(self) -> bool:
        """Whether it lives and was told its partitions; of three workers one may have none."""
        return bool(self._told())

    def holds(self) -> set[str]:
        """The partitions that it says it has, as ``topic/number``."""
        held: set[str] = set()
        for told in self._told():
            is_given = told["event"] == "partitions_assigned"
            held = set(told["partitions"]) if is_given else held - set(told["partitions"])
        return held

    def _told(self) -> list[dict[str, Any]]:
        """What its log says of partitions, from the first that it was given on."""
        log = self.service.log_path
        if self.has_ended or not log.exists():
            return []
        *lines, _ = log.read_text(errors="replace").split("\n")
        told = [json.loads(line) for line in lines if '"partitions_' in line]
        return list(dropwhile(lambda one: one["event"] != "partitions_assigned", told))


class Crew:
    """The workers of one group."""

    def __init__(self, module: str, settings: Mapping[str, str], folder: Path) -> None:
        """``settings`` of all; an ``INSTANCE_ID`` gets the worker's number behind it."""
        self._module = module
        self._settings = settings
        self._folder = folder
        self._numbers = 0
        self.members: list[Member] = []
        self.unasked: list[Path] = []
        """The logs of workers that ended though nobody had asked them to."""
        self.unclean: list[str] = []
        """Workers that were asked to end, and ended with a status that is not clean; which."""

    def add(self) -> Member:
        """Start one more."""
        self._numbers += 1
        told = dict(self._settings)
        if "INSTANCE_ID" in told:
            told["INSTANCE_ID"] += str(self._numbers)
        self.members.append(Member(self._module, self._numbers, told, self._folder))
        return self.members[-1]

    @asynccontextmanager
    async def taken(self, pick: float) -> AsyncIterator[Member]:
        """One of those that are at work, and that no other fault is at."""

        async def free() -> list[Member]:
            return [one for one in self.members if not one.is_taken and one.holds()]

        among = await eventually_async(free, within=AT_WORK_WITHIN)
        member = among[int(pick * len(among))]
        member.is_taken = True
        try:
            yield member
        finally:
            member.is_taken = False

    async def joined(self, *members: Member) -> None:
        """Wait until they have been told which partitions are theirs."""

        async def have() -> bool:
            return all(member.has_joined for member in members)

        await eventually_async(have, within=AT_WORK_WITHIN)

    async def end(self, member: Member) -> None:
        """Ask a worker to end (SIGTERM), and see that it does."""
        member.is_taken = True
        status = await asyncio.to_thread(member.service.stop, within=GRACE_SECONDS)
        if status not in CLEAN:
            self.unclean.append(f"{member.service.log_path.name}: status {status}")

    async def end_all(self) -> None:
        """Ask all to end, at once."""
        await asyncio.gather(*(self.end(member) for member in self.members))
        self.members.clear()

    def kill_all(self) -> None:
        """Leave no process."""
        for member in self.members:
            member.service.kill()
        self.members.clear()

    async def keep_up(self) -> None:
        """Start again what ends unasked, as a cluster would; until cancelled."""
        while True:
            for member in self.members:
                if not member.is_taken and member.has_ended:
                    self.unasked.append(member.service.log_path)
                    member.start()
            await asyncio.sleep(PAUSE)
