"""From a shop's file to its shoppers' profiles: the example of the guide, as it stands there."""

from __future__ import annotations

import asyncio
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

from tests.import_parts import rejects, run
from tests.stack import run_worker
from tests.waiting import eventually
from tests.worker_kafka import group_of, profiles

GUIDE = Path(__file__).parents[2] / "docs/guides/importing.md"


def block(kind: str) -> str:
    """The guide's first block of a kind."""
    found = re.search(rf"^```{kind}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, kind
    return found[1]


def commands() -> list[list[str]]:
    """What the guide has one type, without the program."""
    lines = re.findall(
        r"^\$ python -m services.events import (.*)$", GUIDE.read_text(), re.MULTILINE
    )
    return [shlex.split(line) for line in lines]


def micros(*moment: int) -> int:
    """Microseconds since 1970 of a moment in UTC."""
    year, month, day, hour, minute = moment
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000


def test_the_guides_dry_run_prints_what_it_says(tmp_path: Path) -> None:
    """Line by line, but for where the files are."""
    (tmp_path / "orders.csv").write_text(block("csv"))
    (tmp_path / "orders.toml").write_text(block("toml"))
    dry, _ = commands()
    status, output, errors = run(*dry, folder=tmp_path)
    assert (status, errors) == (0, "")
    told = block("console").split("\n", 1)[1]
    shown = [line.replace(f"{tmp_path}/", "…/") for line in output.splitlines()]
    assert [" ".join(line.split()) for line in shown] == [
        " ".join(line.split()) for line in told.splitlines()
    ]


def test_imported_events_reach_the_profile(
    tmp_path: Path, kafka_servers: str, redis_url: str, topic_prefix: str, shop_id: str
) -> None:
    """Years old, twice imported, folded once, by the worker that runs."""
    (tmp_path / "orders.csv").write_text(block("csv"))
    (tmp_path / "orders.toml").write_text(block("toml"))
    common = {"KAFKA_SERVERS": kafka_servers, "TOPIC_PREFIX": topic_prefix}
    _, command = commands()
    command[command.index("demo")] = shop_id

    told = {**common, "REDIS_URL": redis_url, "GROUP": group_of(topic_prefix)}
    with run_worker(told, tmp_path / "log") as worker:
        for folder in ("first", "second"):
            arguments = [*command, "--folder", folder]
            assert run(*arguments, folder=tmp_path, settings=common)[0] == 0
        eventually(lambda: worker.metric('events_total{outcome="accepted"}') == 4, within=60)
    (profile,) = asyncio.run(profiles(redis_url, [(shop_id, "u:1228")]))
    assert [
        (bought.product_id, bought.quantity, bought.unit_price) for bought in profile.purchases
    ] == [
        ("1041453", 2, 1_500_000),
        ("860776", 1, 12_000_000),
    ]
    assert {bought.order_id for bought in profile.purchases} == {"A-1001"}
    assert {bought.at for bought in profile.purchases} == {micros(2021, 3, 1, 8, 30)}
    assert [view.at for view in profile.views] == [micros(2021, 2, 28, 17, 5)]
    (reject,) = rejects(tmp_path / "first")
    assert reject["cells"] == {"customer": "77", "what": "look", "sku": "1041453"}
