"""Structured logs and Prometheus metrics, set up once by each entry point.

A log event is a constant name with fields, one JSON object a line; shoppers appear in logs
as a hash only (:func:`shopper_hash`). Metrics are declared where they are counted, carry
their unit in the name and take labels from closed sets.
"""

from __future__ import annotations

import hashlib
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from prometheus_client import start_http_server
from structlog.typing import EventDict

from services.shared.errors import BadSetting

OURS: Final = ("services", "__main__")
"""What our own loggers' names start with."""

REPEAT_SECONDS: Final = 10.0
TEXTS_KEPT: Final = 1_000


def configure_logs(service: str, level: str = "info") -> None:
    """Write logs of ``service`` to standard error as JSON, also those of libraries."""

    def name_service(_: Any, __: str, event: EventDict) -> EventDict:
        """Here and not as a context variable, which other threads would not see."""
        return {**event, "service": service}

    shared: list[structlog.typing.Processor] = [
        name_service,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    handler.addFilter(OnceInAWhile())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for ours in OURS:
        logging.getLogger(ours).setLevel(level.upper())


class OnceInAWhile(logging.Filter):
    """Lets a library say the same thing once in ten seconds, however often it happens.

    With Kafka away its client repeats itself many times a second, and what we say ourselves
    drowns in it. What is the same: logger, level and text before its values are put in.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, int, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to let it through; ours always."""
        if record.name.startswith(OURS):
            return True
        key, now = (record.name, record.levelno, str(record.msg)), self._clock()
        if now - self._said.get(key, -math.inf) < REPEAT_SECONDS:
            return False
        if len(self._said) >= TEXTS_KEPT:
            self._said.clear()
        self._said[key] = now
        return True


def serve_metrics(host: str, port: int) -> int:
    """Serve this process's metrics over HTTP; answers the port (a free one for 0).

    Raises BadSetting if the port is taken.
    """
    try:
        server, _ = start_http_server(port, addr=host)
    except OSError as error:
        raise BadSetting(f"cannot serve metrics on {host}:{port}: {error.strerror}") from error
    return int(server.server_port)


def shopper_hash(shop_id: str, subject: str) -> str:
    """A short name for a shopper in logs: tells two apart, tells nobody who it is.

    Not a pseudonym to store: it is unkeyed and only for a log's short life.
    """
    return hashlib.blake2b(f"{shop_id}/{subject}".encode(), digest_size=6).hexdigest()
