"""What an import remembers, whatever ends it: with a topic in memory and a folder on disk."""

from __future__ import annotations

import asyncio
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from services.events.adapters.import_files import RowFile, row_file, untouched
from services.events.adapters.import_folder import PROGRESS, REJECTS, opened
from services.events.adapters.terminal import Seen
from services.events.adapters.topic import MemoryTopic, Outcome
from services.events.domain.chunks import CHUNK_ROWS
from services.events.domain.mapping import FileMapping
from services.events.domain.progress import FileProgress, Progress, taken_up
from services.events.domain.record import Record, Unacknowledged
from services.events.domain.rows import Row
from services.events.importing import Import, input_of, seen
from services.shared.errors import BadSetting, KafkaUnavailable, TooManyRefused
from tests.import_parts import rejects, view, write_csv

ROWS = 7 * CHUNK_ROWS
BAD = 37
"""Each of so many rows is refused."""


class Silent:
    """A display that shows nothing, and keeps the last figures."""

    def __init__(self) -> None:
        self.last = Seen(0, 0, 0, 0)

    def show(self, seen: Seen) -> None:
        """See ``Display``."""
        self.last = seen


class Failing(MemoryTopic):
    """A topic that says nothing more after some records; it takes them all the same."""

    def __init__(self, records: int) -> None:
        super().__init__()
        self._left = records

    async def write(self, records: Sequence[Record], *, within: float) -> list[Outcome]:
        """See ``EventTopic``."""
        outcomes = await super().write(records, within=within)
        self._left -= len(records)
        return outcomes if self._left > 0 else [Unacknowledged("away")] * len(records)


class Hesitant(MemoryTopic):
    """A topic that takes nine tenths of a full chunk, and the rest at the second try."""

    async def write(self, records: Sequence[Record], *, within: float) -> list[Outcome]:
        """See ``EventTopic``."""
        taken = min(len(records), CHUNK_ROWS * 9 // 10)
        outcomes = await super().write(records[:taken], within=within)
        return [*outcomes, *[Unacknowledged("not sent")] * (len(records) - taken)]


class Broken:
    """A file whose reading ends in the middle as a process does."""

    def __init__(self, file: RowFile, rows: int) -> None:
        self.path, self.columns = file.path, file.columns
        self._file, self._rows = file, rows

    def rows(self, *, after: int, columns: Sequence[str]) -> Iterator[Row]:
        """See ``RowFile``."""
        for row in self._file.rows(after=after, columns=columns):
            if row.number == self._rows:
                raise MemoryError
            yield row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A shop's file with wrong rows in it."""
    return write_shop(tmp_path)


def write_shop(folder: Path) -> Path:
    """The same rows each time."""
    rows = (view(n, action="look" if n % BAD == 0 else "view") for n in range(ROWS))
    return write_csv(folder / "shop.csv", rows)


def run(
    topic: MemoryTopic,
    file: RowFile,
    folder: Path,
    *,
    share: float = 1.0,
    patience: float = 0.0,
    ending: bool = False,
) -> tuple[bool, Seen]:
    """One run; whether it came to the end, and what was shown last."""

    async def do() -> bool:
        told = asyncio.Event()
        if ending:
            told.set()
        return await work.run([input_of(file, FileMapping(), "demo")], shown, told)

    shown = Silent()
    files = {str(file.path): untouched(file.path)}
    now = Progress(shop_id="demo", mapping_sha256="m", topic_id="t", files=files)
    with opened(folder) as memory:
        work = Import(
            progress=taken_up(memory.earlier, now),
            topic=topic,
            memory=memory,
            refused_share=share,
            patience_seconds=patience,
            now_micros=lambda: 1 << 60,
        )
        return asyncio.run(do()), shown.last


def values(topic: MemoryTopic) -> Counter[bytes]:
    """How often each event is in the topic."""
    return Counter(record.value for some in topic.partitions for record in some)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> set[bytes]:
    """All events of the file, by a run that nothing disturbs."""
    topic, folder = MemoryTopic(), tmp_path_factory.mktemp("whole")
    assert run(topic, row_file(write_shop(folder), FileMapping()), folder / "folder")[0]
    return set(values(topic))


def refused_rows(folder: Path) -> list[int]:
    """The numbers of the rejects, in their order."""
    return [reject["row"] for reject in rejects(folder)]


WRONG = [n + 1 for n in range(0, ROWS, BAD)]


@pytest.mark.parametrize("records", [1, 999, 3_000, ROWS - 2_000])
def test_kafka_that_goes_away(tmp_path: Path, path: Path, whole: set[bytes], records: int) -> None:
    """What is remembered was acknowledged; the next run brings the rest."""
    topic, file = Failing(records), row_file(path, FileMapping())
    with pytest.raises(KafkaUnavailable, match="away"):
        run(topic, file, tmp_path / "folder")
    with opened(tmp_path / "folder") as folder:
        assert folder.earlier is not None
        remembered = folder.earlier.files[str(path)]
    assert remembered.events <= records
    after = MemoryTopic()
    assert run(after, file, tmp_path / "folder")[0]
    assert values(topic).keys() | values(after).keys() == whole
    assert values(after).total() == ROWS - len(WRONG) - remembered.events
    assert refused_rows(tmp_path / "folder") == WRONG


def test_what_was_not_acknowledged_is_written_again(tmp_path: Path, path: Path) -> None:
    """And nothing else is."""
    topic = Hesitant()
    with pytest.raises(KafkaUnavailable, match="not sent"):
        run(topic, row_file(path, FileMapping()), tmp_path / "folder")
    topic = Hesitant()
    assert run(topic, row_file(path, FileMapping()), tmp_path / "other", patience=120.0)[0]
    assert set(values(topic).values()) == {1}
    assert values(topic).total() == ROWS - len(WRONG)


@pytest.mark.parametrize("rows", [1, 5_777, ROWS])
def test_a_file_that_cannot_be_read_on(
    tmp_path: Path, path: Path, whole: set[bytes], rows: int
) -> None:
    """What was written before is remembered at the most, and what it lacks comes later."""
    topic, file = MemoryTopic(), row_file(path, FileMapping())
    with pytest.raises(MemoryError):
        run(topic, Broken(file, rows), tmp_path / "folder")
    before = values(topic)
    assert run(topic, file, tmp_path / "folder")[0]
    assert before.total() < ROWS
    assert values(topic).keys() == whole
    assert refused_rows(tmp_path / "folder") == WRONG


def test_a_crash_between_rejects_and_progress(tmp_path: Path, path: Path) -> None:
    """Rejects that no progress knows of are forgotten: their rows are judged again."""
    folder, file = tmp_path / "folder", row_file(path, FileMapping())
    assert run(MemoryTopic(), file, folder)[0]
    with (folder / REJECTS).open("a") as more:
        more.write('{"row": 1}\n{"ro')
    assert run(MemoryTopic(), file, folder)[0]
    assert refused_rows(folder) == WRONG
    os.truncate(folder / REJECTS, 10)
    with pytest.raises(BadSetting, match="was cut"):
        run(MemoryTopic(), file, folder)


def test_told_to_end(tmp_path: Path, path: Path, whole: set[bytes]) -> None:
    """What is in hand is finished and remembered."""
    topic, file = MemoryTopic(), row_file(path, FileMapping())
    assert not run(topic, file, tmp_path / "folder", ending=True)[0]
    assert 0 < values(topic).total() < ROWS
    assert run(topic, file, tmp_path / "folder")[0]
    assert max(values(topic).values()) == 1
    assert values(topic).keys() == whole


def test_done_is_done(tmp_path: Path, path: Path) -> None:
    """A second run writes nothing; its figures begin where the first ended."""
    topic, file = MemoryTopic(), row_file(path, FileMapping())
    complete, last = run(topic, file, tmp_path / "folder")
    assert complete
    assert last[1:] == (ROWS, ROWS - len(WRONG), len(WRONG))
    assert run(MemoryTopic(), file, tmp_path / "folder") == (True, Seen(0, 0, 0, 0))
    with opened(tmp_path / "folder") as folder:
        assert folder.earlier is not None
        assert seen(folder.earlier) == (path.stat().st_size, *last[1:])


def test_a_share_of_refused_rows(tmp_path: Path, path: Path) -> None:
    """Beyond it the import ends early and says so."""
    topic, file = MemoryTopic(), row_file(path, FileMapping())
    with pytest.raises(TooManyRefused, match="ROW_INVALID"):
        run(topic, file, tmp_path / "folder", share=1 / (2 * BAD))
    assert values(topic).total() < ROWS - CHUNK_ROWS
    assert run(topic, file, tmp_path / "folder", share=1.5 / BAD)[0]


def test_nobody_else_may_read_what_is_kept(tmp_path: Path, path: Path) -> None:
    """Rejects hold shoppers' data."""
    run(MemoryTopic(), row_file(path, FileMapping()), tmp_path / "folder")
    for kept in (tmp_path / "folder").iterdir():
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_progress_that_is_none(tmp_path: Path) -> None:
    """It is not written over."""
    (tmp_path / PROGRESS).write_text("{")
    with pytest.raises(BadSetting, match="is no progress of an import"), opened(tmp_path):
        pass
    assert (tmp_path / PROGRESS).read_text() == "{"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """The sentence names it."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(BadSetting, match=r"--folder .*file/folder"),
        opened(tmp_path / "file/folder"),
    ):
        pass


FILE = FileProgress(size=1, sha256="a")
START = Progress(shop_id="demo", mapping_sha256="m", topic_id="t", files={"a.csv": FILE})


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"shop_id": "other"}, "another shop's files"),
        ({"mapping_sha256": "n"}, "the mapping has changed"),
        ({"topic_id": "u"}, "the topic is not the one"),
        ({"files": {"a.csv": FileProgress(size=2, sha256="a")}}, "a.csv has changed since 5 rows"),
        ({"files": {"a.csv": FileProgress(size=1, sha256="b")}}, "a.csv has changed since 5 rows"),
    ],
)
def test_another_import_is_not_taken_up(other: dict[str, object], said: str) -> None:
    """What is done would be something else."""
    done = FileProgress(size=1, sha256="a", rows=5, events=5)
    earlier = START.noted("a.csv", done, rejects_bytes=0)
    told: dict[str, object] = {
        "shop_id": "demo",
        "mapping_sha256": "m",
        "topic_id": "t",
        "files": {"a.csv": FILE},
        **other,
    }
    with pytest.raises(BadSetting, match=said):
        taken_up(earlier, Progress(**told))  # type: ignore[arg-type]  # one field of each kind


def test_more_files_are_taken_up_beside_those_that_are_done() -> None:
    """A file that comes later is imported; one that is gone is no matter."""
    done = FileProgress(size=1, sha256="a", rows=5, events=5, is_done=True)
    earlier = START.noted("a.csv", done, rejects_bytes=3)
    now = Progress(shop_id="demo", mapping_sha256="m", topic_id="t", files={"b.csv": FILE})
    assert taken_up(earlier, now).files == {"a.csv": done, "b.csv": FILE}
    assert taken_up(earlier, now).rejects_bytes == 3
