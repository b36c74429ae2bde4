"""Training data from a real Kafka: events and catalogue, as far as the topics hold them now."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from model_export.__main__ import main
from model_export.errors import DataRefused
from model_export.preparation.events import plain_name
from model_export.preparation.topics import Topics, topic_feed
from services.shared.errors import KafkaUnavailable
from services.shared.sealing import new_master_key, read_master_key
from tests.profile_events import event, key_of, view
from tests.worker_kafka import now, producer

LISTED = {"shopId": "demo", "merchantId": "m1", "title": "Mug", "categoryPath": ["Home", "Mugs"]}


async def fill(servers: str, prefix: str) -> None:
    """Twenty events of two shoppers, one that is none, three products and a price."""
    at = now()
    some = [
        *(
            view(n, f"i{n % 4}", user=f"u{n % 2}", at=at - timedelta(seconds=20 - n))
            for n in range(18)
        ),
        event(18, user="u0", at=at, search={"query": "Blue MUG"}),
        event(19, user="u0", at=at, rating={"productId": "i1", "stars": 5}),
        event(20, user="u9", at=at, shopId="other", view={"productId": "elsewhere"}),
    ]
    price = {"currencyCode": "EUR", "units": "9", "nanos": 500_000_000}
    async with producer(servers) as to:
        for one in some:
            await to.send_and_wait(
                prefix + "shopper-events", json.dumps(one).encode(), key_of(one), partition=1
            )
        await to.send_and_wait(prefix + "shopper-events", b"{", b"demo/u:u0", partition=1)
        for product in ("i1", "new", "gone"):
            value = json.dumps({**LISTED, "productId": product}).encode()
            await to.send_and_wait(prefix + "catalog", value, f"demo/{product}".encode())
        await to.send_and_wait(prefix + "catalog", None, b"demo/gone")
        await to.send_and_wait(prefix + "catalog", b'{"shopId": 1}', b"demo/bad")
        offer = {"shopId": "demo", "productId": "new", "price": price}
        value = json.dumps({**offer, "status": "OFFER_STATUS_ACTIVE"}).encode()
        await to.send_and_wait(prefix + "offers", value, b"demo/new")


def test_prepared_from_kafka(kafka_servers: str, topic_prefix: str, tmp_path: Path) -> None:
    """By the command: rows of one shop, its cold products, nobody named, all else counted."""
    asyncio.run(fill(kafka_servers, topic_prefix))
    new_master_key(tmp_path / "key")
    told = f"prepare --kafka {kafka_servers} --topic-prefix {topic_prefix} --shop demo"
    told += f" --master-key-file {tmp_path}/key --split leave-one-out --to {tmp_path}/data"
    assert main(told.split()) == 0
    about = json.loads((tmp_path / "data/prepared.json").read_bytes())
    assert about["rows_kept"] == 19
    assert about["left_out"] == {"other_action": 1, "refused": 1}
    assert about["products_lost"] == {"product_refused": 1}
    items = pl.read_parquet(tmp_path / "data/items.parquet")
    assert items["item_id"].to_list() == ["i0", "i1", "i2", "i3", "new"]
    new = items.row(4, named=True)
    assert (new["title"], new["category"], new["price"]) == ("Mug", ["Home", "Mugs"], 9.5)
    users = pl.read_parquet(tmp_path / "data/users.parquet")["user_id"].to_list()
    master = read_master_key(tmp_path / "key")
    assert sorted(users) == sorted(master.pseudonym(f"demo/u:u{n}".encode()).hex() for n in (0, 1))


def test_another_catalogue_is_other_data(kafka_servers: str, topic_prefix: str) -> None:
    """A title that has changed since makes other data of the same events; sent again, none."""

    async def send(title: str) -> None:
        product = {**LISTED, "productId": "i1", "title": title}
        async with producer(kafka_servers) as to:
            value = json.dumps(product).encode()
            await to.send_and_wait(topic_prefix + "catalog", value, b"demo/i1")

    asyncio.run(fill(kafka_servers, topic_prefix))
    sums = []
    for title in ("Mug", "Mug", "Cup"):
        asyncio.run(send(title))
        sums.append(topic_feed(Topics(kafka_servers, topic_prefix), plain_name).sha256)
    assert sums[0] == sums[1] != sums[2]


def test_topics_without_events(kafka_servers: str, topic_prefix: str) -> None:
    """An empty topic and one that is not there are told apart."""
    with pytest.raises(DataRefused, match="holds no events"):
        topic_feed(Topics(kafka_servers, topic_prefix), plain_name)
    with pytest.raises(KafkaUnavailable, match="has no topic"):
        topic_feed(Topics(kafka_servers, "nowhere."), plain_name)
