"""The commands that a person types: their help, and what they say when something is wrong."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import psutil
import pytest

from deploy.local.demo.storefront import Storefront
from deploy.local.services import is_serving
from deploy.local.state import read_state
from deploy.local.supervised import HOST
from tests.waiting import eventually
from tests.write_parts import Door, positions, viewed

ROOT = Path(__file__).parents[2]


def local(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m deploy.local``."""
    command = [sys.executable, "-m", "deploy.local", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in the checkout."""
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def test_make_alone_lists_every_target() -> None:
    """`make` is `make help`, and no target of a person's is missing in it."""
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: ([a-z-]+)$", text, re.MULTILINE))
    listed = set(re.findall(r"^  make ([a-z-]+) +\S", make().stdout, re.MULTILINE))
    assert targets == listed
    assert {"demo", "down", "test", "check", "help"} <= listed


@pytest.mark.parametrize("command", ["up", "down", "topics", "demo", "demo-serving"])
def test_each_command_explains_itself(command: str) -> None:
    """`--help` works for the whole and for each command."""
    assert command in local("--help").stdout
    assert "--help" in local(command, "--help").stdout


def test_down_twice_is_no_error(tmp_path: Path) -> None:
    """Where nothing runs there is nothing to stop, as often as one likes."""
    for _ in range(2):
        result = local("down", "--folder", str(tmp_path))
        assert (result.returncode, result.stdout) == (0, "nothing is running\n")


def test_up_says_where_everything_is_and_down_ends_it(tmp_path: Path) -> None:
    """What is printed answers; a second `up` starts nothing; after `down` nothing is left."""
    told = local("up", "--folder", str(tmp_path))
    try:
        assert told.returncode == 0, told.stderr
        listed = dict(re.findall(r"^ +([a-z ]+?)  (\S+)$", told.stdout, re.MULTILINE))
        assert is_serving(listed["grpc"])
        assert is_serving(listed["worker health"])
        assert is_serving(listed["archive health"])
        assert is_serving(listed["attribution health"])
        storefront = Storefront(listed["grpc"], Path(listed["api key file"]))
        with pytest.raises(grpc.RpcError) as caught:
            storefront.profile("nobody")
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        storefront.close()
        door = Door(listed["events grpc"], listed["api key"])
        assert len(positions(door.write(viewed(1)))) == 1
        door.channel.close()
        assert listed["api key"].startswith("attune_demo_")
        assert "make down" in local("up", "--folder", str(tmp_path)).stderr
        pids = [each.pid for each in read_state(tmp_path).processes]
    finally:
        ended = local("down", "--folder", str(tmp_path))
    assert ended.stdout.startswith(
        "stopped attribution, archive, events server, recommendations server, profiles worker"
    )
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize("command", [("demo", "--once"), ("up",)], ids=lambda command: command[0])
def test_what_is_told_to_stop_while_it_starts(command: tuple[str, ...], tmp_path: Path) -> None:
    """SIGTERM when Kafka was just started: all is ended, and the status tells."""
    told = [sys.executable, "-m", "deploy.local", *command, "--folder", str(tmp_path)]
    with subprocess.Popen(told, cwd=ROOT, stderr=subprocess.PIPE, text=True) as started:
        eventually(lambda: read_state(tmp_path).processes, within=30)
        started.terminate()
        _, errors = started.communicate(timeout=60)
    assert (started.returncode, errors) == (130, "")
    assert local("down", "--folder", str(tmp_path)).stdout == "nothing is running\n"
    assert running_in(tmp_path) == []


def running_in(folder: Path) -> list[str]:
    """The names of processes that run in a folder below ``folder``, recorded or not."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process.name())
    return found


def test_up_names_a_port_in_use(tmp_path: Path) -> None:
    """A port that was asked for and is taken is named, and nothing is left running."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        result = local("up", "--folder", str(tmp_path), "--kafka-port", str(port))
    assert result.returncode == 1
    assert f"Kafka cannot listen on {HOST}:{port}: the port is in use" in result.stderr
    assert local("down", "--folder", str(tmp_path)).stdout == "nothing is running\n"


def test_up_that_fails_late_leaves_nothing_running(tmp_path: Path) -> None:
    """Kafka and Redis that were started already are stopped when a later port is taken."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        result = local("up", "--folder", str(tmp_path), "--grpc-port", str(port))
    assert result.returncode == 1
    assert f"{HOST}:{port}: the port is in use" in result.stderr
    assert local("down", "--folder", str(tmp_path)).stdout == "nothing is running\n"


def test_topics_are_created_by_command(kafka_servers: str) -> None:
    """The command creates what is missing and says so."""
    created = local("topics", "--servers", kafka_servers, "--prefix", "typed.")
    assert "typed.shopper-events" in created.stdout
    again = local("topics", "--servers", kafka_servers, "--prefix", "typed.")
    assert again.stdout == "all topics are there\n"


def test_locks_hold_no_addresses() -> None:
    """Nothing in a lock says where packages come from or what a machine looks like."""
    assert make("check-locks").returncode == 0
