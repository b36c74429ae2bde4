"""The server: joins the parts, serves gRPC and metrics, keeps its line to Kafka, drains."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import grpc
import structlog
from attune.events.v1 import event_service_pb2

from services.events.adapters.topic import KafkaTopic
from services.events.event_api import BytesInHand, EventApi
from services.events.settings import Settings
from services.shared.event_age import AgeRule
from services.shared.grpc_server import Service, start_server
from services.shared.health import Health
from services.shared.identity import ApiKeys
from services.shared.running import told_to_end
from services.shared.telemetry import serve_metrics

MESSAGE_BYTES: Final = 4 << 20
"""More than a request may have, so that one beyond it is told what is wrong."""

GRACE_SECONDS: Final = 16.0
"""How long calls in progress may take to end after the drain: as long as they wait for Kafka."""

_log = structlog.get_logger()


class Server:
    """One running server. It is ready once it has found Kafka and the topic."""

    def __init__(self, settings: Settings, keys: ApiKeys) -> None:
        self._settings = settings
        self._keys = keys
        self._health = Health()
        self._ending = False

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain.

        Raises BadSetting for a taken port and for a topic that is kept wrongly.
        """
        told_to_stop = told_to_end()
        settings = self._settings
        topic = KafkaTopic(settings.kafka_servers, settings.events_topic)
        metrics_port = serve_metrics(settings.metrics_host, settings.metrics_port)
        server, port = await start_server(
            [self._service(topic)],
            keys=self._keys,
            health=self._health,
            host=settings.host,
            port=settings.port,
            message_bytes=MESSAGE_BYTES,
        )
        _log.info("listening", host=settings.host, port=port, metrics_port=metrics_port)
        stopping = asyncio.create_task(told_to_stop.wait())
        work = asyncio.create_task(topic.run(self._connected))
        await asyncio.wait((stopping, work), return_when=asyncio.FIRST_COMPLETED)
        await self._drain(server)
        await topic.close()
        for task in (stopping, work):
            task.cancel()
        (failure,) = await asyncio.gather(work, return_exceptions=True)
        if isinstance(failure, Exception):
            raise failure
        _log.info("stopped")

    def _service(self, topic: KafkaTopic) -> Service:
        api = EventApi(
            topic=topic,
            bytes_in_hand=BytesInHand(self._settings.bytes_in_hand),
            age=AgeRule(self._settings.event_age_limit),
            now_micros=lambda: time.time_ns() // 1000,
        )
        descriptor = event_service_pb2.DESCRIPTOR.services_by_name["EventService"]
        return Service(descriptor, {"Write": api.write})

    def _connected(self) -> None:
        if not self._ending and not self._health.is_ready:
            self._health.ready()
            _log.info("ready", topic=self._settings.events_topic)

    async def _drain(self, server: grpc.aio.Server) -> None:
        """Say NOT_SERVING, for good; take calls a little longer, let those in progress end."""
        self._ending = True
        self._health.not_ready()
        await asyncio.sleep(self._settings.drain_ms / 1000)
        await server.stop(GRACE_SECONDS)
