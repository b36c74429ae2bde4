"""The recommendations server: ``python -m services.recommendations``.

Reads its settings from the environment, loads and proves what models it is told, serves gRPC and
metrics, and follows the catalogue. It is ready when the catalogue has been read to its end;
Redis being away makes it answer without profiles, not go away.
"""

from __future__ import annotations

import os

# One process has one core; a second thread of NumPy's would only take another's.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import asyncio
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import grpc
import structlog
import uvloop
from attune.profiles.v1 import profile_service_pb2
from attune.recommendations.v1 import recommendation_service_pb2

from services.recommendations import checking, model_commands
from services.recommendations.adapters.catalog_feed import CatalogFeed
from services.recommendations.adapters.folded_profiles import RedisFoldedProfiles
from services.recommendations.adapters.letter_key_cache import RememberedLetterKeys
from services.recommendations.adapters.log_topic import KafkaLogTopic
from services.recommendations.adapters.position_reader import PositionReader
from services.recommendations.adapters.profiles import ProfileReader
from services.recommendations.adapters.recommendation_log import RecommendationLog
from services.recommendations.adapters.scenario_folder import ScenarioFolder
from services.recommendations.adapters.stopped_arms import StoppedArms
from services.recommendations.adapters.trends import Trends
from services.recommendations.domain.filters.expression import Expressions
from services.recommendations.domain.placed import Placements
from services.recommendations.domain.policies import Policies
from services.recommendations.models import Models, models_of
from services.recommendations.profile_api import ProfileApi
from services.recommendations.questions import Questions
from services.recommendations.recommendation_api import RecommendationApi
from services.recommendations.settings import PREFIX, Settings
from services.recommendations.shoppers import Shoppers
from services.shared.errors import AttuneError
from services.shared.garbage import keep_what_is_there
from services.shared.grpc_server import Service, start_server
from services.shared.health import Health
from services.shared.identity import ApiKeys, read_keys
from services.shared.kafka_records import accept_any_header_name
from services.shared.letter_keys import RedisLetterKeys
from services.shared.log_persons import TOPIC
from services.shared.profile_store import RedisProfileStore
from services.shared.redis_cluster import redis_pool
from services.shared.running import switch_threads_soon, told_to_end
from services.shared.sealed_answers import SealedAnswers
from services.shared.sealing import read_master_key
from services.shared.settings import read_settings, settings_help
from services.shared.telemetry import configure_logs, serve_metrics

GRACE_SECONDS: Final = 10.0
"""How long calls in progress may take to end after the drain."""

REDIS_CONNECTIONS: Final = 16

PLACING_SECONDS: Final = 0.25
"""How often it is looked whether there are new products."""

_log = structlog.get_logger()


class Server:
    """The parts of one running server, joined."""

    def __init__(self, settings: Settings, models: Models, keys: ApiKeys) -> None:
        self._settings = settings
        self._keys = keys
        self._health = Health()
        self._models = models
        self._catalogs = models.catalogs
        self._placements = Placements()
        self._policies, self._expressions = Policies(), Expressions()
        self._scenarios = self._follow_scenarios() if settings.scenarios else None
        self._redis = redis_pool(settings.redis_url, size=REDIS_CONNECTIONS)
        self._trends = Trends(self._redis, shops=lambda: self._catalogs.shops, clock=time.time)
        self._stopped = StoppedArms(self._redis, self._policies, shops=lambda: self._catalogs.shops)
        self._feed = CatalogFeed(
            settings.kafka_servers,
            topic_prefix=settings.topic_prefix,
            catalogs=self._catalogs,
            when_caught_up=self._caught_up,
        )
        self._log = self._answer_log()
        self._services = self._join()
        self._loaded = False
        self._ending = False

    def _follow_scenarios(self) -> ScenarioFolder:
        """Raises BadSetting, with the mistakes of the documents."""
        folder = ScenarioFolder(
            Path(self._settings.scenarios),
            policies=self._policies,
            catalogs=self._catalogs,
            expressions=self._expressions,
            now_micros=now_micros,
        )
        folder.start()
        return folder

    def _answer_log(self) -> RecommendationLog | None:
        """Raises BadSetting for a master key that cannot be read."""
        settings = self._settings
        if not settings.master_key_file:
            return None
        master = read_master_key(Path(settings.master_key_file))
        keys = RememberedLetterKeys(RedisLetterKeys(self._redis, master), clock=time.monotonic)
        topic = KafkaLogTopic(settings.kafka_servers, settings.topic_prefix + TOPIC)
        return RecommendationLog(topic, SealedAnswers(master, keys))

    def _join(self) -> Sequence[Service]:
        profiles = ProfileReader(
            RedisProfileStore(self._redis),
            deadline_seconds=self._settings.profile_deadline_ms / 1000,
            clock=time.monotonic,
        )
        positions = PositionReader(profiles, RedisFoldedProfiles(self._redis), clock=time.monotonic)
        recommending = RecommendationApi(
            questions=Questions(
                catalogs=self._catalogs,
                trends=self._trends,
                now_micros=now_micros,
                clock=time.monotonic,
                expressions=self._expressions,
                placements=self._placements,
            ),
            models=self._models.answering,
            shoppers=Shoppers(profiles, positions),
            policies=self._policies,
            is_loaded=lambda: self._loaded,
            new_token=lambda: secrets.token_urlsafe(16),
            log=self._log.log if self._log else lambda _: None,
        )
        reading = ProfileApi(catalogs=self._catalogs, profiles=profiles)
        recommendations = recommendation_service_pb2.DESCRIPTOR.services_by_name
        return (
            Service(
                recommendations["RecommendationService"],
                {
                    "Recommend": recommending.recommend,
                    "SimilarProducts": recommending.similar_products,
                    "RankProducts": recommending.rank_products,
                    "RecommendBatch": recommending.recommend_batch,
                },
            ),
            Service(
                profile_service_pb2.DESCRIPTOR.services_by_name["ProfileService"],
                {"GetProfile": reading.get_profile},
            ),
        )

    async def _place_new(self) -> None:
        """Give new products their vectors, by every model that answers, soon after they come."""
        while True:
            await self._place()
            await asyncio.sleep(PLACING_SECONDS)

    async def _place(self) -> None:
        for shop_id in self._catalogs.shops:
            self._placements.of(self._models.answering.of(shop_id), self._catalogs.of(shop_id))
        for _ in self._placements.refresh():
            await asyncio.sleep(0)

    async def _caught_up(self) -> None:
        self._loaded = True
        await self._place()
        if self._scenarios:
            await self._scenarios.warm()
            await self._stopped.look()
        if self._ending:
            return
        keep_what_is_there()
        self._health.ready()
        versions = self._models.versions()
        _log.info("ready", products=self._catalogs.listed, model_versions=versions)

    async def _follow_catalog(self) -> None:
        """After the models: a catalogue that begins with a model's products has their rows."""
        await self._models.settled()
        await self._feed.run()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises BadSetting for a taken port."""
        told_to_stop = told_to_end()
        settings = self._settings
        metrics_port = serve_metrics(settings.metrics_host, settings.metrics_port)
        server, port = await start_server(
            self._services,
            keys=self._keys,
            health=self._health,
            host=settings.host,
            port=settings.port,
            share_port=settings.share_port,
        )
        _log.info("listening", host=settings.host, port=port, metrics_port=metrics_port)
        stopping = asyncio.create_task(told_to_stop.wait())
        jobs = [self._follow_catalog(), self._place_new(), self._trends.run()]
        jobs += [self._scenarios.run(), self._stopped.run()] if self._scenarios else []
        jobs += [self._log.run()] if self._log else []
        jobs += self._models.jobs()
        work = [asyncio.create_task(job) for job in jobs]
        # A background job ends only by a mistake of ours: stop, and be started anew.
        await asyncio.wait((stopping, *work), return_when=asyncio.FIRST_COMPLETED)
        await self._drain(server)
        for task in (stopping, *work):
            task.cancel()
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await self._redis.close()
        _log.info("stopped")

    async def _drain(self, server: grpc.aio.Server) -> None:
        """Say NOT_SERVING, for good; take calls a little longer, let those in progress end."""
        self._ending = True
        self._health.not_ready()
        await asyncio.sleep(self._settings.drain_ms / 1000)
        await server.stop(GRACE_SECONDS)


def now_micros() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 after a stop by signal, 2 if it cannot start."""
    told = sys.argv[1:] if arguments is None else list(arguments)
    if told[:1] == [checking.COMMAND]:
        return checking.check(checking.parser().parse_args(told[1:]).files, print)
    if told[:1] == [model_commands.COMMAND]:
        return model_commands.run_command(told[1:], os.environ, say=print, remark=_remark)
    settings_help(
        Settings,
        prefix=PREFIX,
        prog="python -m services.recommendations",
        description="Answers Recommend, SimilarProducts, RankProducts, RecommendBatch and "
        "GetProfile over gRPC.",
        epilog="It is ready when the catalogue has been read to its end. SIGTERM lets calls in "
        "progress end and ends with status 0. Other commands: python -m services.recommendations "
        f"{model_commands.COMMAND} --help, and {checking.COMMAND} --help",
    ).parse_args(told)
    try:
        settings = read_settings(Settings, prefix=PREFIX, environ=os.environ)
        configure_logs("recommendations", settings.log_level)
        accept_any_header_name()
        keys = read_keys(Path(settings.api_keys_file))
        switch_threads_soon()
        uvloop.run(_serve(settings, keys))
    except AttuneError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 2
    return 0


async def _serve(settings: Settings, keys: ApiKeys) -> None:
    await Server(settings, models_of(settings), keys).run()


def _remark(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
