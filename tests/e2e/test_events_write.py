"""From a storefront without a Kafka client to a profile: events by gRPC, repeated at will."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.profile_oracle import number_of
from tests.stack import run_events_server, run_worker
from tests.worker_kafka import group_of, profiles, until_committed
from tests.write_parts import Door, in_cart, positions, shop_and_key, viewed


def test_what_is_written_twice_is_folded_once(
    tmp_path: Path, kafka_servers: str, redis_url: str, topic_prefix: str
) -> None:
    """A caller that repeats its request until it is sure changes nothing by it."""
    shop_id, key = shop_and_key(tmp_path)
    common = {"KAFKA_SERVERS": kafka_servers, "TOPIC_PREFIX": topic_prefix}
    worker = {**common, "REDIS_URL": redis_url, "GROUP": group_of(topic_prefix)}
    door = {**common, "API_KEYS_FILE": str(tmp_path / "keys.json")}
    with (
        run_worker(worker, tmp_path / "worker.log"),
        run_events_server(door, tmp_path / "events.log") as server,
    ):
        client = Door(server.address, key)
        events = [viewed(1), in_cart(2, quantity=3), viewed(3)]
        places = [positions(client.write(*events)) for _ in range(3)]
        client.channel.close()
        assert len({place for some in places for place in some}) == 9
        asyncio.run(until_committed(kafka_servers, topic_prefix, 9))
        (profile,) = asyncio.run(profiles(redis_url, [(shop_id, "u:ana")]))
    names = {number_of(f"e{n}"): n for n in (1, 2, 3)}
    assert sorted(names[view.event] for view in profile.views) == [1, 3]
    assert [(names[cart.event], cart.quantity) for cart in profile.carts] == [(2, 3)]
