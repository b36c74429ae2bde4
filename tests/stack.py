"""Our services as real processes, for tests of the whole path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.local.services import (
    EmbeddedService,
    events_server,
    profiles_worker,
    recommendations_server,
)

BUNDLE = Path(__file__).parents[1] / "deploy/local/model"


@contextmanager
def run_worker(settings: Mapping[str, str], log: Path) -> Iterator[EmbeddedService]:
    """A worker that is ready; ``settings`` lack the prefix, such as ``{"KAFKA_SERVERS": …}``.

    Ports not given are free ones. It is stopped at the end if the test has not done so.
    """
    with started(profiles_worker(settings, log)) as worker:
        worker.wait_ready()
        yield worker


@contextmanager
def run_server(settings: Mapping[str, str], log: Path) -> Iterator[EmbeddedService]:
    """A recommendations server that is ready; the bundle is the committed one if not told."""
    with started(recommendations_server({"BUNDLE": str(BUNDLE), **settings}, log)) as server:
        server.wait_ready()
        yield server


@contextmanager
def run_events_server(settings: Mapping[str, str], log: Path) -> Iterator[EmbeddedService]:
    """An events server that is ready; ``settings`` name Kafka and the keys file."""
    with started(events_server(settings, log)) as server:
        server.wait_ready()
        yield server


@contextmanager
def started(service: EmbeddedService) -> Iterator[EmbeddedService]:
    """A service that was started but may not be ready; stopped at the end."""
    service.start()
    try:
        yield service
    finally:
        service.stop()
