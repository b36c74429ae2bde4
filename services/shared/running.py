"""How processes that work until they are told to end begin and end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from services.shared.errors import BadSetting
from services.shared.health import Health, serve_health
from services.shared.telemetry import serve_metrics

SWITCHED_AFTER_SECONDS: Final = 0.0005
"""So long a thread may hold up the others that run Python; by default ten times as long."""

_log = structlog.get_logger()


class Ports(Protocol):
    """Where a consumer tells how it is."""

    @property
    def health_host(self) -> str:
        """Host of health."""
        ...

    @property
    def health_port(self) -> int:
        """Port of health."""
        ...

    @property
    def metrics_host(self) -> str:
        """Host of metrics."""
        ...

    @property
    def metrics_port(self) -> int:
        """Port of metrics."""
        ...


def switch_threads_soon() -> None:
    """For a process with two threads in Python: ours, and one in which a library reads.

    Faust's consumer has one, and gRPC. Whoever wakes because something has come waits for the
    other one.
    """
    sys.setswitchinterval(SWITCHED_AFTER_SECONDS)


def told_to_end() -> asyncio.Event:
    """What SIGTERM and SIGINT set from now on."""
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    return ending


async def run_consumer(
    work: Callable[[Health, asyncio.Event], Awaitable[None]], ports: Ports, *, lost: str
) -> int:
    """Serve health and metrics while it works, which it does until the event is set.

    Returns 0, or 1 after an error that is ours; ``lost`` says in the log what becomes of what was
    in hand. From the moment when it is told to end on it is not ready. Raises BadSetting.
    """
    ending, health = told_to_end(), Health()
    server, port = await serve_health(health, host=ports.health_host, port=ports.health_port)
    metrics_port = serve_metrics(ports.metrics_host, ports.metrics_port)
    _log.info("started", health_port=port, metrics_port=metrics_port)
    try:
        await work(health, ending)
    except BadSetting:
        raise
    except Exception:
        _log.exception("stopped_by_an_error", meaning=lost)
        return 1
    finally:
        health.not_ready()
        await server.stop(grace=1.0)
    _log.info("stopped")
    return 0
