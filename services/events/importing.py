"""The import itself: files are read, events judged and written, and only then remembered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from services.events.adapters.import_files import RowFile
from services.events.adapters.import_folder import Memory
from services.events.adapters.terminal import Display, Seen
from services.events.adapters.topic import EventTopic
from services.events.domain.chunks import Chunk, Reject, chunks
from services.events.domain.mapping import FileMapping
from services.events.domain.progress import FileProgress, Progress, refused_of
from services.events.domain.record import Record, Unacknowledged
from services.events.domain.rows import EventMaker
from services.shared.errors import KafkaUnavailable, TooManyRefused

IN_FLIGHT: Final = 4
"""Chunks that are written at once; with them the memory an import needs is bounded."""

SAVED_EVERY_SECONDS: Final = 1.0
"""What is done in between is done again after a crash, to the same effect."""

ATTEMPT_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.2

SHARE_COUNTS_AFTER: Final = 1_000
"""Rows; of fewer a share says nothing."""


class Input(NamedTuple):
    """A file to import, and how its rows become events."""

    file: RowFile
    maker: EventMaker
    columns: Sequence[str]
    """Those that are read."""

    def chunks(self, *, after: int, shop_id: str, now: int) -> Iterator[Chunk]:
        """What is behind its first ``after`` rows, judged. Raises BadInput."""
        rows = self.file.rows(after=after, columns=self.columns)
        return chunks(self.maker.made(rows), shop_id=shop_id, now=now)


def input_of(file: RowFile, mapping: FileMapping, shop_id: str) -> Input:
    """The file as the mapping reads it. Raises BadSetting."""
    taken = mapping.taken_from(file.columns)
    maker = EventMaker(mapping, taken, shop_id=shop_id)
    return Input(file, maker, sorted(set(taken.values())))


@dataclass(slots=True, kw_only=True)
class Import:
    """One run. What it has done is in :attr:`progress`, and on disk where :meth:`run` returns."""

    progress: Progress
    topic: EventTopic
    memory: Memory
    refused_share: float
    """If more than this share of the rows is refused, it ends."""
    patience_seconds: float
    """How long Kafka may be away."""
    now_micros: Callable[[], int]
    _saved: float = 0.0

    async def run(self, inputs: Sequence[Input], display: Display, ending: asyncio.Event) -> bool:
        """Import what is not done yet; answers False where ``ending`` came first.

        Raises TooManyRefused, BadInput where a file cannot be read on, and KafkaUnavailable;
        each leaves a progress to go on from.
        """
        try:
            for each in inputs:
                path = str(each.file.path)
                if not self.progress.files[path].is_done:
                    await self._one(path, each, display, ending)
                if ending.is_set():
                    return False
            return True
        finally:
            self.memory.save(self.progress)

    async def _one(self, path: str, each: Input, display: Display, ending: asyncio.Event) -> None:
        """One file: chunks are written side by side, and noted in their order."""
        before = self.progress.files[path]
        waiting: deque[tuple[Chunk, asyncio.Task[None]]] = deque()
        shop_id, now = self.progress.shop_id, self.now_micros()
        try:
            for chunk in each.chunks(after=before.rows, shop_id=shop_id, now=now):
                waiting.append((chunk, asyncio.create_task(self._write(chunk.records))))
                await asyncio.sleep(0)
                if len(waiting) == IN_FLIGHT:
                    await self._settle(path, *waiting.popleft(), display)
                if ending.is_set():
                    break
            while waiting:
                await self._settle(path, *waiting.popleft(), display)
        finally:
            for _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)
        if not ending.is_set():
            self.progress = self.progress.ended(path)

    async def _write(self, records: Sequence[Record]) -> None:
        """Return once Kafka has all of them. Raises KafkaUnavailable."""
        until = time.monotonic() + self.patience_seconds
        while records:
            within = max(PAUSE_SECONDS, min(ATTEMPT_SECONDS, until - time.monotonic()))
            outcomes = await self.topic.write(records, within=within)
            late = [each for each in outcomes if isinstance(each, Unacknowledged)]
            if late and time.monotonic() > until:
                raise KafkaUnavailable(f"{late[0].reason} ({self.patience_seconds:.0f} s of tries)")
            if late:
                await asyncio.sleep(PAUSE_SECONDS)
            records = [
                record
                for record, outcome in zip(records, outcomes, strict=True)
                if isinstance(outcome, Unacknowledged)
            ]

    async def _settle(
        self, path: str, chunk: Chunk, written: asyncio.Task[None], display: Display
    ) -> None:
        await written
        size = self.memory.add_rejects(path, chunk.rejects)
        before = self.progress.files[path]
        self._note(path, after(before, chunk), size)
        display.show(seen(self.progress, path, chunk.read))
        check_share(self.progress, self.refused_share)

    def _note(self, path: str, file: FileProgress, rejects_bytes: int) -> None:
        self.progress = self.progress.noted(path, file, rejects_bytes=rejects_bytes)
        if time.monotonic() - self._saved > SAVED_EVERY_SECONDS:
            self.memory.save(self.progress)
            self._saved = time.monotonic()


def judge(
    inputs: Sequence[Input], progress: Progress, display: Display, *, now: int
) -> tuple[Progress, list[tuple[str, Reject]]]:
    """What an import would come to, and of each code a few rejects with their files.

    Nothing is written anywhere. Raises BadInput.
    """
    examples: list[tuple[str, Reject]] = []
    shown: Counter[str] = Counter()
    for each in inputs:
        path = str(each.file.path)
        begun = progress.files[path]
        for chunk in each.chunks(after=begun.rows, shop_id=progress.shop_id, now=now):
            done = after(progress.files[path], chunk)
            progress = progress.noted(path, done, rejects_bytes=0)
            display.show(seen(progress, path, chunk.read))
            for reject in chunk.rejects:
                if shown[reject.code] < EXAMPLES:
                    shown[reject.code] += 1
                    examples.append((path, reject))
        progress = progress.ended(path)
    return progress, examples


EXAMPLES: Final = 3
"""Of each code."""


def after(file: FileProgress, chunk: Chunk) -> FileProgress:
    """A file's progress with one more chunk done."""
    return msgspec.structs.replace(
        file,
        rows=chunk.last,
        events=file.events + len(chunk.records),
        refused=dict(Counter(file.refused) + chunk.refused),
    )


def seen(progress: Progress, path: str = "", read: int = 0) -> Seen:
    """The figures over all files; of ``path``, the one in work, ``read`` bytes were read."""
    files = progress.files
    whole = sum(file.size for name, file in files.items() if file.is_done and name != path)
    return Seen(
        whole + read,
        sum(file.rows for file in files.values()),
        sum(file.events for file in files.values()),
        refused_of(files).total(),
    )


def check_share(progress: Progress, limit: float) -> None:
    """Raises TooManyRefused where more than ``limit`` of the rows so far were refused."""
    far = seen(progress)
    if far.rows >= SHARE_COUNTS_AFTER and far.refused > limit * far.rows:
        codes = ", ".join(f"{n:,} {code}" for code, n in refused_of(progress.files).most_common())
        raise TooManyRefused(
            f"of {far.rows:,} rows {far.refused:,} were refused ({codes}), more than the share of "
            f"{limit:g} that --max-refused-share lets pass: see the rejects for why"
        )
