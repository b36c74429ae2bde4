"""What integration tests of several modules share: a running server, and a model made once."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.topics import create_topics
from model_export.__main__ import main
from services.shared.identity import add_key
from tests.model_parts import TRAINING, rounds, write_csv
from tests.recommendation_shop import SCOPES, Running, Shop, settings_of
from tests.stack import run_server


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, kafka_servers: str, redis_url: str
) -> Iterator[Running]:
    """One server for all tests of a module that do no harm; each takes a shop of its own."""
    folder = tmp_path_factory.mktemp("server")
    prefix = f"t{secrets.token_hex(3)}."
    asyncio.run(create_topics(kafka_servers, prefix=prefix))
    names = [f"shop-{secrets.token_hex(4)}" for _ in range(20)]
    keys = {name: add_key(folder / "keys.json", shop_id=name, scopes=SCOPES) for name in names}
    settings = settings_of(folder, kafka_servers, redis_url, prefix)
    with run_server(settings, folder / "server.log") as service:

        def new_shop() -> Shop:
            name = names.pop()
            return Shop(name, keys[name], service.port, kafka_servers, prefix, redis_url)

        yield Running(service, new_shop)


@pytest.fixture
def shop(running: Running) -> Iterator[Shop]:
    """A shop of the common server, without products."""
    shop = running.new_shop()
    yield shop
    shop.channel.close()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``shop.csv``, ``data``, ``checkpoint`` and ``bundle``, made by commands."""
    folder = tmp_path_factory.mktemp("model")
    write_csv(rounds(), folder / "shop.csv")
    prepare = f"prepare {folder}/shop.csv --to {folder}/data --holdout-days 2 --validation-days 2"
    assert main(prepare.split()) == 0
    assert main(f"train {folder}/data --to {folder}/checkpoint {TRAINING}".split()) == 0
    source = f"export {folder}/data --checkpoint {folder}/checkpoint"
    assert main(f"{source} --to {folder}/bundle".split()) == 0
    return folder


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, to be spoiled."""
    shutil.copytree(made / "bundle", tmp_path / "bundle")
    return tmp_path / "bundle"
