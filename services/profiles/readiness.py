"""Ready means that work gets on, live that it could."""

from __future__ import annotations

from typing import Final

import structlog
from faust.types import TP

from services.shared.health import Health

NEEDED: Final = frozenset({"partitions", "redis", "kafka"})

_log = structlog.get_logger()


class Readiness:
    """Ready while partitions are assigned, Kafka and Redis answer, and no batch is stuck.

    Between a rebalance's taking partitions away and its giving new ones it is not. A worker
    that was given none, because the group has more members than partitions, is ready.
    """

    def __init__(self, health: Health) -> None:
        self._health = health
        self._waiting_for = set(NEEDED)
        self._stuck: set[TP] = set()

    def has(self, what: str) -> None:
        """``what`` is there now."""
        self._waiting_for.discard(what)
        self._tell()

    def lacks(self, what: str) -> None:
        """``what`` is not there now."""
        self._waiting_for.add(what)
        self._tell()

    def stuck(self, tp: TP, is_so: bool) -> None:
        """Whether a batch of ``tp`` is tried again and again."""
        (self._stuck.add if is_so else self._stuck.discard)(tp)
        (self.lacks if self._stuck else self.has)("progress")

    @property
    def waits(self) -> bool:
        """Whether something is missing that a new start would not bring."""
        return bool(self._waiting_for)

    def end(self) -> None:
        """From now on it is not ready, whatever is there."""
        self._waiting_for.add("end")
        self._health.not_ready()

    def hangs(self, is_so: bool) -> None:
        """Whether work stands still although nothing is missing: then a new start may help."""
        if is_so and self._health.is_live:
            _log.error("hangs")
        elif not is_so and not self._health.is_live:
            _log.info("hangs_no_more")
        self._health.live(not is_so)

    def _tell(self) -> None:
        if self._waiting_for and self._health.is_ready:
            _log.warning("not_ready", waiting_for=sorted(self._waiting_for))
            self._health.not_ready()
        elif not self._waiting_for and not self._health.is_ready:
            _log.info("ready")
            self._health.ready()
