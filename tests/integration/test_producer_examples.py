"""The producers' examples, each run as it stands: what they send is taken, where it should lie."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from kafka.partitioner.default import murmur2

from deploy.local.java import class_path
from services.shared.event_age import AgeRule
from services.shared.event_codec import decode_event
from tests.worker_kafka import records

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs/examples"
MODULES = Path("build/clients/node")


def installed(program: str) -> str:
    """Where the program is; skips the test where it is not."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def kcat() -> list[str]:
    """Debian's package of that name."""
    installed("kcat")
    return [str(EXAMPLES / "kcat.sh")]


def java() -> list[str]:
    """A JDK runs one source file without compiling it first; Kafka's jars are the broker's own."""
    installed("javac")
    source = str(EXAMPLES / "java/Send.java")
    return [installed("java"), "-cp", class_path(), source]


def node() -> list[str]:
    """KafkaJS is installed by its lock, once, into ``build``."""
    program, npm = installed("node"), installed("npm")
    MODULES.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "send.mjs"):
        shutil.copy(EXAMPLES / "node" / name, MODULES)
    told = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(told, cwd=MODULES, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm cannot get KafkaJS: {done.stderr[:200]}")
    return [program, str(MODULES / "send.mjs")]


def python(name: str) -> Callable[[], list[str]]:
    """A Python example, by this Python."""
    return lambda: [sys.executable, str(EXAMPLES / name)]


CLIENTS = {
    "kafka-python": (python("kafka_python.py"), "purchase"),
    "confluent-kafka": (python("confluent_kafka_protobuf.py"), "search"),
    "kcat": (kcat, "view"),
    "java": (java, "add_to_cart"),
    "node": (node, "click"),
}


def run(*command: str) -> str:
    """What a command prints; fails where it does not end with status 0."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "build/gen")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("client", CLIENTS)
def test_what_an_example_sends_is_taken(client: str, kafka_servers: str, topic_prefix: str) -> None:
    """One event, within all limits and of now, in the partition that all clients would choose."""
    command, action = CLIENTS[client]
    topic = topic_prefix + "shopper-events"
    run(*command(), kafka_servers, topic)
    (record,) = asyncio.run(records(kafka_servers, topic))
    event = decode_event(record.key, record.value, record.headers)
    AgeRule(timedelta(minutes=5)).check(event.at, record.timestamp * 1000)
    assert (event.shop_id, event.action) == ("demo", action)
    assert record.partition == (murmur2(record.key) & 0x7FFFFFFF) % 4
    assert record.partition != zlib.crc32(record.key) % 4, "the key tells no partitioners apart"


@pytest.mark.parametrize(
    "name", ["kcat.sh", "kafka_python.py", "confluent_kafka_protobuf.py", "dead_letters.py"]
)
def test_the_page_shows_the_examples_as_they_are(name: str) -> None:
    """Word by word."""
    blocks = re.findall(
        r"^```\w+\n(.*?)^```$", (ROOT / "docs/producers.md").read_text(), re.M | re.S
    )
    assert (EXAMPLES / name).read_text() in blocks


def test_the_lock_holds_hashes_and_no_addresses() -> None:
    """What npm installs is what was looked at, from wherever it comes."""
    lock = (EXAMPLES / "node/package-lock.json").read_text()
    assert '"integrity": "sha512-' in lock
    assert "resolved" not in lock
    assert "://" not in lock
