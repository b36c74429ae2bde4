"""``python -m services.events import``: the command line around an import."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from msgspec import json, structs
from rich.console import Console
from rich.table import Table

from services.events.adapters.import_files import found, row_file, untouched
from services.events.adapters.import_folder import PROGRESS, REJECTS, ImportFolder, opened
from services.events.adapters.terminal import display, table
from services.events.adapters.topic import KafkaTopic
from services.events.domain.mapping import read_mapping
from services.events.domain.progress import FileProgress, Progress, refused_of, taken_up
from services.events.importing import (
    PAUSE_SECONDS,
    Import,
    Input,
    check_share,
    input_of,
    judge,
    seen,
)
from services.events.settings import IMPORT_PREFIX, ImportSettings
from services.shared.errors import BadSetting, KafkaUnavailable
from services.shared.kafka import describe_topics
from services.shared.running import told_to_end
from services.shared.settings import read_settings
from services.shared.telemetry import configure_logs

COMMAND: Final = "import"
MAPPING_BYTES: Final = 1 << 20
COMPRESSION: Final = "lz4"

_SHOP: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Job(NamedTuple):
    """What a command line asks for."""

    inputs: Sequence[Input]
    start: Progress
    """With every file untouched, and no topic yet."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog=f"python -m services.events {COMMAND}",
        description="Give a new shop its past: read what its shoppers did from CSV and Parquet "
        "files and write it to the topic shopper-history, from where it reaches profiles as if "
        "Attune had always been there. Events may be of any age. Interrupted, or with Kafka away, "
        "it goes on where it was when the same command is run again; an event counts once.",
        epilog=f"Kafka is told by {IMPORT_PREFIX}KAFKA_SERVERS (such as kafka-1:9092), the topics' "
        f"prefix, if any, by {IMPORT_PREFIX}TOPIC_PREFIX. First try: add --dry-run, which needs no "
        "Kafka. Status 0: all is imported, but for rejects; 1: not all yet, run it again; 2: "
        "something must be put right first. More in docs/guides/importing.md.",
    )
    made.add_argument("--shop", required=True, type=_shop, help="whose events they are")
    made.add_argument(
        "--files",
        required=True,
        nargs="+",
        metavar="FILE",
        help="CSV (with a heading, UTF-8) and Parquet files, or patterns such as 'orders/*.csv'",
    )
    made.add_argument(
        "--mapping",
        type=Path,
        metavar="TOML",
        help="says what the files' columns are; not needed where they have our names",
    )
    made.add_argument(
        "--folder",
        type=Path,
        help=f"where {PROGRESS} and {REJECTS} are kept (default: import-SHOP)",
    )
    made.add_argument(
        "--max-refused-share",
        type=_share,
        default=0.05,
        metavar="SHARE",
        help="stop if more than this share of the rows is refused, after 1,000 rows "
        "(default: %(default)s)",
    )
    made.add_argument(
        "--patience",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long Kafka may be away before the import ends with status 1 "
        "(default: %(default)s)",
    )
    made.add_argument("--dry-run", action="store_true", help="judge every row and write nothing")
    return made


def main(arguments: Sequence[str]) -> int:
    """Does it; answers the exit status. Raises AttuneError."""
    told = parser().parse_args(arguments)
    console = Console(highlight=False)
    if told.dry_run:
        return _dry_run(told, console)
    settings = read_settings(ImportSettings, prefix=IMPORT_PREFIX, environ=os.environ)
    configure_logs("import", "error")  # of waiting for Kafka we say here what there is to say
    job = _job(told, console)
    with opened(told.folder or Path(f"import-{told.shop}")) as folder:
        return uvloop.run(_import(told, settings, job, folder, console))


def _job(told: argparse.Namespace, console: Console) -> Job:
    """Reads mapping and headings, and of each file its digest. Raises BadSetting and BadInput."""
    text = b"" if told.mapping is None else _bytes_of(told.mapping)
    try:
        mapping = read_mapping(text.decode())
    except (BadSetting, UnicodeDecodeError) as error:
        raise BadSetting(f"--mapping {told.mapping}: {error}") from error
    inputs: list[Input] = []
    files: dict[str, FileProgress] = {}
    for path in found(told.files):
        try:
            each = input_of(row_file(path, mapping), mapping, told.shop)
        except BadSetting as error:
            raise BadSetting(f"{path} {error}") from error
        inputs.append(each)
        files[str(path)] = untouched(path)
        left = [column for column in each.file.columns if column not in each.columns]
        said = f"{path}: reads {_listed(each.columns)}; leaves alone {_listed(left)}"
        console.print(said, markup=False, soft_wrap=True)
    digest = hashlib.sha256(json.encode(mapping, order="sorted")).hexdigest()
    return Job(inputs, Progress(shop_id=told.shop, mapping_sha256=digest, topic_id="", files=files))


def _dry_run(told: argparse.Namespace, console: Console) -> int:
    job = _job(told, console)
    with display(console, seen(job.start), _size(job.start)) as shown:
        done, examples = judge(job.inputs, job.start, shown, now=_now_micros())
    for path, reject in examples:
        said = f"{path}, row {reject.row.number:,}: {reject.code}: {reject.reason}"
        console.print(said, markup=False, soft_wrap=True)
    console.print("A dry run: nothing was written.")
    console.print(_summary(job.start, done))
    check_share(done, told.max_refused_share)
    return 0


async def _import(
    told: argparse.Namespace,
    settings: ImportSettings,
    job: Job,
    folder: ImportFolder,
    console: Console,
) -> int:
    """Connects, imports, sums up. Raises AttuneError."""
    servers, name = settings.kafka_servers, settings.history_topic
    topic_id = await _topic_id(servers, name, told.patience)
    start = taken_up(folder.earlier, structs.replace(job.start, topic_id=topic_id))
    ending = told_to_end()
    topic = KafkaTopic(servers, name, compression=COMPRESSION)
    work = Import(
        progress=start,
        topic=topic,
        memory=folder,
        refused_share=told.max_refused_share,
        patience_seconds=told.patience,
        now_micros=_now_micros,
    )
    try:
        async with _connected(topic, told.patience):
            with display(console, seen(start), _size(start)) as shown:
                is_whole = await work.run(job.inputs, shown, ending)
    finally:
        console.print(_summary(start, work.progress))
        if seen(work.progress).refused:
            said = f"refused rows, and why: {folder.rejects}"
            console.print(said, markup=False, soft_wrap=True)
    if not is_whole:
        console.print("stopped; the same command goes on from here")
    return 0 if is_whole else 1


@asynccontextmanager
async def _connected(topic: KafkaTopic, patience: float) -> AsyncIterator[None]:
    """Keeps the topic connected while the block runs. Raises BadSetting and KafkaUnavailable."""
    connected = asyncio.Event()
    work = asyncio.create_task(topic.run(connected.set))
    waiting = asyncio.create_task(connected.wait())
    try:
        either = asyncio.FIRST_COMPLETED
        await asyncio.wait((work, waiting), timeout=patience, return_when=either)
        if work.done():
            work.result()
        if not connected.is_set():
            raise KafkaUnavailable(f"Kafka was found, but not connected to in {patience:.0f} s")
        yield
    finally:
        for task in (work, waiting):
            task.cancel()
        await asyncio.gather(work, waiting, return_exceptions=True)
        await topic.close()


async def _topic_id(servers: str, name: str, patience: float) -> str:
    """Kafka's own id of the topic. Raises KafkaUnavailable."""
    until = time.monotonic() + patience
    while True:
        try:
            return (await describe_topics(servers, [name]))[name].topic_id
        except KafkaUnavailable:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(PAUSE_SECONDS)


def _summary(start: Progress, done: Progress) -> Table:
    """What was done by this run, and before it."""
    now, before = seen(done), seen(start)
    rows = [("files done", f"{sum(f.is_done for f in done.files.values())} of {len(done.files)}")]
    if before.rows:
        rows.append(("rows done before", f"{before.rows:,}"))
    rows += [("rows", f"{now.rows - before.rows:,}"), ("events", f"{now.events - before.events:,}")]
    for code, count in (refused_of(done.files) - refused_of(start.files)).most_common():
        rows.append((f"rows refused: {code}", f"{count:,}"))
    return table(rows)


def _size(progress: Progress) -> int:
    """Bytes of all files."""
    return sum(file.size for file in progress.files.values())


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns) or "none"


def _bytes_of(path: Path) -> bytes:
    """Raises BadSetting."""
    try:
        with path.open("rb") as file:
            read = file.read(MAPPING_BYTES + 1)
    except OSError as error:
        raise BadSetting(f"--mapping {path}: {error.strerror}") from error
    if len(read) > MAPPING_BYTES:
        raise BadSetting(f"--mapping {path} has more than {MAPPING_BYTES} bytes")
    return read


def _now_micros() -> int:
    return time.time_ns() // 1000


def _shop(text: str) -> str:
    if not _SHOP.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}: lower-case letters, digits and dashes only")
    return text


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return share
