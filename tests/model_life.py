"""The life of a model on a real server with a registry, and the commands of its operators."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local.services import EmbeddedService
from deploy.local.topics import create_topics
from services.recommendations.__main__ import main
from services.recommendations.adapters.registry import Registry
from services.recommendations.domain.serving import Serving
from services.shared.archive_storage import LocalStorage
from services.shared.identity import add_key
from tests.recommendation_shop import POPULARITY, SCOPES, VECTORS, Shop, bought, settings_of
from tests.stack import run_server
from tests.tiny_bundle import make_bundle, seal
from tests.waiting import eventually

WITHIN = 90.0
"""For a change to reach a server on a busy machine."""


class Life:
    """A server with a registry of two shops, and the commands that an operator has."""

    def __init__(self, service: EmbeddedService, folder: Path, shops: dict[str, Shop]) -> None:
        self.service, self.folder, self.shops = service, folder, shops
        self.demo = shops["demo"]
        self.registry = folder / "registry"

    def models(self, command: str, *told: str, shop: str = "demo") -> int:
        """A command's status."""
        place = ("--registry", str(self.registry), "--shop", shop)
        return main(["models", command, *place, *told])

    def do(self, command: str, *told: str, shop: str = "demo") -> None:
        assert self.models(command, *told, shop=shop) == 0

    def bundle(
        self, version: str, vectors: Mapping[str, Sequence[float]] = VECTORS, **told: Any
    ) -> Path:
        folder = make_bundle(self.folder / "made" / version, vectors, popularity=POPULARITY, **told)
        seal(folder, version=version)
        return folder

    def serving(self) -> Serving:
        return Registry(LocalStorage(self.registry), lambda: 0).serving("demo")

    def until_answered_by(self, version: str, shop: str = "demo", user: str = "ana") -> None:
        def so() -> bool:
            return self.shops[shop].recommend(user).model_version == version

        eventually(so, within=WITHIN)

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = self.service.log_path.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line["event"] == event]


@contextmanager
def living(folder: Path, kafka: str, redis: str) -> Iterator[Life]:
    prefix = f"t{secrets.token_hex(3)}."
    asyncio.run(create_topics(kafka, prefix=prefix))
    keys = {
        name: add_key(folder / "keys.json", shop_id=name, scopes=SCOPES)
        for name in ("demo", "other", "stranger")
    }
    make_bundle(folder / "first", VECTORS, popularity=POPULARITY)
    seal(folder / "first", version="a")
    for command in (("publish", str(folder / "first")), ("promote", "a")):
        place = ("--registry", str(folder / "registry"), "--shop", "demo")
        assert main(["models", command[0], *place, command[1]]) == 0
    told = settings_of(folder, kafka, redis, prefix) | {
        "BUNDLE": "",
        "REGISTRY": f"file://{folder}/registry",
        "SHOPS": "demo,other",
        "MODEL_CACHE": str(folder / "cache"),
        "REGISTRY_POLL_MS": "200",
    }
    with run_server(told, folder / "server.log") as service:
        shops = {
            name: Shop(name, key, service.port, kafka, prefix, redis) for name, key in keys.items()
        }
        shops["demo"].list_products(*VECTORS, "fork")
        for user in ("ana", "ben", "cy"):
            shops["demo"].know(f"u:{user}", bought("mug"))
        yield Life(service, folder, shops)
