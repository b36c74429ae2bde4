"""Plays a story: sends, breaks, waits until all is folded, and has it judged."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from aiokafka.errors import KafkaError

from deploy.local.topics import create_topics
from services.shared.errors import Unavailable
from tests.fault.chaos.crew import WORKER
from tests.fault.chaos.faults import WAYS
from tests.fault.chaos.stage import Servers, Stage, stage
from tests.fault.chaos.story import KINDS, WAVES, Fault, Story, Wave, story
from tests.fault.chaos.verdict import Verdict, difference, expected, judge_letters, kept

WORKERS = 2
WAVE_WITHIN = 180.0
SETTLED_WITHIN = 60.0
LOOK_SECONDS = 0.25
UNFINISHED = Verdict(0, 0, ["not all is committed"])


class Outcome(NamedTuple):
    """How a story ended."""

    seed: int
    faults: Counter[str]
    """Those that have struck, by kind."""
    events: int
    lost: int
    doubled: int
    unasked: int
    """Workers that ended though nobody had asked them to."""
    unclean: Sequence[str]
    """Workers that were asked to end, and ended with another status than 0."""
    seconds: float
    words: Sequence[str]
    """What differs, and which workers ended unasked; empty where all is right."""
    logs: Path

    @property
    def is_right(self) -> bool:

        return not self.words

    def told(self) -> str:
        """What a person needs to look into it."""
        return "\n  ".join(
            [
                f"seed {self.seed}: {self.lost} lost, {self.doubled} doubled after "
                f"{', '.join(self.faults)}",
                *self.words,
                f"alone: make fault SEED={self.seed}",
                f"logs: {self.logs}",
            ]
        )


class Play:
    """One story while it is played."""

    def __init__(
        self, of: Story, on: Stage, struck: Callable[[str], None], mended_within: float
    ) -> None:
        """``struck`` is told the kind of each fault when it is over.

        ``mended_within``: so long what is wrong may stay so after all is committed.
        """
        self._story = of
        self._on = on
        self._struck = struck
        self._mended_within = mended_within

    async def run(self) -> Verdict:
        """Play it to its end. Raises what a server or worker raises that cannot go on."""
        on = self._on
        workers = [on.crew.add() for _ in range(WORKERS)]
        keeping_up = asyncio.create_task(on.crew.keep_up())
        try:
            await on.crew.joined(*workers)
            verdict = await self._through_all_waves()
        finally:
            keeping_up.cancel()
        if not verdict.is_right:
            return verdict
        await on.crew.end_all()
        return (await self._state()).and_also(await judge_letters(on, on.sender.kept))

    async def _through_all_waves(self) -> Verdict:
        for wave in self._story.waves:
            await self._wave(wave)
            if wave.set_back and not (verdict := await self._settled()).is_right:
                return verdict
            for fault in wave.set_back:
                await self._strike(fault, asyncio.Event())
        return await self._settled()

    async def _wave(self, wave: Wave) -> None:
        async with asyncio.timeout(WAVE_WITHIN), asyncio.TaskGroup() as tasks:
            sent = 0
            for fault in sorted(wave.faults, key=lambda fault: fault.after):
                records = wave.records[sent : fault.after]
                await self._on.sender.send(records, tasks, rate=wave.rate)
                sent, held = fault.after, asyncio.Event()
                tasks.create_task(self._strike(fault, held))
                await held.wait()
            await self._on.sender.send(wave.records[sent:], tasks, rate=wave.rate)

    async def _strike(self, fault: Fault, held: asyncio.Event) -> None:
        way = WAYS[fault.kind]
        async with way.hold(self._on, fault) as target:
            held.set()
            await asyncio.sleep(fault.delay)
            await way.strike(self._on, fault, target)
        self._struck(fault.kind)

    async def _settled(self) -> Verdict:
        """Wait until all is committed and right; the last verdict where that takes too long."""
        deadline = time.monotonic() + SETTLED_WITHIN
        verdict = UNFINISHED
        while time.monotonic() < deadline:
            with contextlib.suppress(KafkaError, Unavailable):
                verdict = await self._verdict()
                if verdict.is_right:
                    break
                if verdict is not UNFINISHED:
                    deadline = min(deadline, time.monotonic() + self._mended_within)
            await asyncio.sleep(LOOK_SECONDS)
        return verdict

    async def _verdict(self) -> Verdict:
        ends = sum((await self._on.ends()).values())
        return await self._state() if await self._on.committed() == ends else UNFINISHED

    async def _state(self) -> Verdict:
        sent, shops = self._on.sender.kept, self._story.shops
        return difference(expected(sent, shops), await kept(self._on, sent, shops))


async def play(
    seed: int,
    on: Servers,
    folder: Path,
    *,
    module: str = WORKER,
    only: Sequence[str] = tuple(KINDS),
    waves: int = WAVES,
    mended_within: float = SETTLED_WITHIN,
    struck: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Play the story of ``seed`` with workers of ``module``; logs go to ``folder``."""
    name = f"s{seed}-{secrets.token_hex(3)}"
    told = story(seed, name=name, now=datetime.now(UTC), only=only, waves=waves)
    faults, begun = Counter[str](), time.monotonic()

    def count(kind: str) -> None:
        faults[kind] += 1
        struck(kind)

    await create_topics(on.kafka.servers, prefix=f"{name}.")
    async with stage(on, f"{name}.", folder, module=module, static=told.static) as place:
        try:
            verdict = await Play(told, place, count, mended_within).run()
        except Exception as error:
            verdict = Verdict(0, 0, [f"not played to its end: {error!r}"])
    words = [*verdict.words, *(f"ended unasked: {log}" for log in place.crew.unasked)]
    return Outcome(
        seed,
        faults,
        len(place.sender.kept),
        verdict.lost,
        verdict.doubled,
        len(place.crew.unasked),
        place.crew.unclean,
        time.monotonic() - begun,
        words,
        folder,
    )
