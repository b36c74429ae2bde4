"""A storefront that writes what shoppers do and then asks for a list that knows it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from attune.events.v1.event_service_pb2 import Position
from attune.events.v1.shopper_event_pb2 import View
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from deploy.local.services import EmbeddedService
from services.shared.identity import add_key
from tests import recommendation_shop, write_parts
from tests.recommendation_shop import VECTORS, Shop, settings_of
from tests.stack import run_events_server, run_server, run_worker
from tests.waiting import eventually
from tests.worker_kafka import group_of
from tests.write_parts import Door, viewed

SHOPPERS = 40
"""So many that each partition has some."""

SECONDS = 60.0


class Storefront(NamedTuple):
    """One shop, whose events and questions go through real servers."""

    shop: Shop
    door: Door
    worker: EmbeddedService
    server: EmbeddedService

    def view(self, user_id: str, product_id: str) -> Position:
        """A user looks at a product; where that event is."""
        event = viewed(secrets.token_hex(8), user_id=user_id, view=View(product_id=product_id))
        (result,) = self.door.write(event).results
        assert result.HasField("position"), result
        return result.position

    def ask(self, user_id: str, position: Position, *, within: float = 5) -> pb.RecommendResponse:
        """A list that must know the event at ``position``, if that is possible."""
        return self.shop.recommend(user_id, min_position=position, within=within)

    def until_known(self, user_id: str, position: Position) -> pb.RecommendResponse:
        """Ask until it is known."""
        answer = eventually(
            lambda: (a := self.ask(user_id, position)).position_reached and a, within=SECONDS
        )
        assert isinstance(answer, pb.RecommendResponse)
        return answer

    def warm(self) -> None:
        """Have every partition folded once: the first batch of each takes longer."""
        for number in range(SHOPPERS):
            position = self.view(f"first-{number}", "mug")
            self.until_known(f"first-{number}", position)


def knows(answer: pb.RecommendResponse, product_id: str) -> bool:
    """Whether a list follows from a view of that product."""
    viewed = {
        each.reason.product_id
        for each in answer.products
        if each.reason.kind == pb.Reason.KIND_VIEWED
    }
    return product_id in viewed


@contextmanager
def storefront(
    folder: Path, kafka: str, redis: str, prefix: str, **folding: str
) -> Iterator[Storefront]:
    """A shop with five products, both servers, and a worker with these settings besides."""
    scopes = (*recommendation_shop.SCOPES, *write_parts.SCOPES)
    name = f"shop-{secrets.token_hex(4)}"
    key = add_key(folder / "keys.json", shop_id=name, scopes=scopes)
    common = {"KAFKA_SERVERS": kafka, "TOPIC_PREFIX": prefix}
    writing = {**common, "API_KEYS_FILE": str(folder / "keys.json")}
    worker_is_told = {**common, "REDIS_URL": redis, "GROUP": group_of(prefix), **folding}
    serving = settings_of(folder, kafka, redis, prefix)
    with ExitStack() as running:
        worker = running.enter_context(run_worker(worker_is_told, folder / "worker.log"))
        server = running.enter_context(run_server(serving, folder / "server.log"))
        events = running.enter_context(run_events_server(writing, folder / "events.log"))
        shop = Shop(name, key, server.port, kafka, prefix, redis)
        door = Door(events.address, key)
        running.callback(shop.channel.close)
        running.callback(door.channel.close)
        shop.list_products(*VECTORS)
        yield Storefront(shop, door, worker, server)
