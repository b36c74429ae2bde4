"""docs/guides/a-new-shop.md does what it says, while another shop goes on being answered."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from attune.recommendations.v1.recommendation_service_pb2 import RecommendResponse

from deploy.local.demo.complete_journey import CatalogProduct
from deploy.local.demo.records import offer_record, product_record
from deploy.local.demo.sending import producer, send_all
from deploy.local.demo.storefront import Storefront
from deploy.local.stack import Addresses, Stack
from deploy.local.supervised import port_for
from deploy.local.told import SHOP, Ports
from model_export.__main__ import main
from tests.import_parts import rejects
from tests.pages import Page
from tests.typing_shell import Answered, Shell, shell
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
PAGE = Page.read("guides/a-new-shop.md")
QUICKER = ("--epochs", "3", "--dimensions", "16", "--negatives", "64", "--max-length", "10")
OF_MAKE = ("make .venv-dev/.ready build/gen/.ready", "make up")
"""What the stack of this test stands for."""
MODEL = "python -m model_export "
ASKED = "shortest.py u7)"
CERTAIN = ("head ", "python -m deploy.local topics", "python build/send", "check-scenarios")
"""Words of commands that print the same on every machine."""
EACH_SECONDS = 0.1


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[Addresses]:
    """What ``make up`` starts, with three products of the first shop."""
    stack = Stack(tmp_path / "stack", Ports())
    found = stack.start(lambda _: None)
    try:
        asyncio.run(list_products(found))
        yield found
    finally:
        stack.stop()


async def list_products(found: Addresses) -> None:
    some = [
        CatalogProduct(name, "acme", name.title(), ["Home"], {"brand": ""}, 100, deliverable=True)
        for name in ("mug", "lamp", "rake")
    ]
    async with producer(found.kafka) as sender:
        for topic, record in (("catalog", product_record), ("offers", offer_record)):
            await send_all(sender, topic, (record(SHOP, each) for each in some), lambda _: None)


@contextmanager
def asked_all_the_time(found: Addresses) -> Iterator[list[RecommendResponse]]:
    """The first shop's answers meanwhile; a call that fails ends the test at the end."""
    answers: list[RecommendResponse] = []
    failed: list[grpc.RpcError] = []
    over = threading.Event()
    storefront = Storefront(found.grpc, Path(found.api_key_file))

    def ask() -> None:
        while not over.wait(EACH_SECONDS):
            try:
                answers.append(storefront.recommend("841"))
            except grpc.RpcError as error:
                failed.append(error)

    eventually(lambda: len(storefront.recommend("841").products) == 3, within=30)
    caller = threading.Thread(target=ask)
    caller.start()
    try:
        yield answers
    finally:
        over.set()
        caller.join()
        storefront.close()
    assert failed == []


class Reader:
    """Types what the page says, with this test's folder and addresses in place of the usual."""

    def __init__(self, typing: Shell, folder: Path, found: Addresses) -> None:
        self._typing = typing
        self._places = {
            "$PWD/.venv-dev/bin": str(Path(sys.executable).parent),
            "127.0.0.1:19092": found.kafka,
            "redis://127.0.0.1:16379/0": found.redis,
            "127.0.0.1:50051": found.grpc,
            "50061": str(port_for("server", None)),
            "9111": str(port_for("server", None)),
        }
        self._folder = folder

    def types(self, command: str, capsys: pytest.CaptureFixture[str]) -> Answered:
        """One command of the page; training, quicker, in this process, which has torch."""
        line = re.sub(r"(?<![\w/])build/(?!gen)", f"{self._folder}/", command)
        for usual, ours in self._places.items():
            line = line.replace(usual, ours)
        if "shortest.py" in line:
            return self._asked(line)
        if not line.startswith(MODEL):
            return self._typing.types(line)
        words = shlex.split(line.removeprefix(MODEL))
        status = main([*words, *(QUICKER if words[0] == "train" else ())])
        return Answered(status, capsys.readouterr().out)

    def _asked(self, line: str) -> Answered:
        """A call, made again where its second was too short on a busy machine."""

        def answered() -> Answered | None:
            found = self._typing.types(line)
            return found if found.status == 0 else None

        found = eventually(answered, within=60)
        assert found is not None
        return found


def shown_in(answered: Answered, folder: Path) -> list[str]:
    return answered.output.replace(f"{folder}/", "build/").splitlines()


def test_a_new_shop_joins(
    addresses: Addresses, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command of the page, in order; it ends in a personal list of the new shop."""
    PAGE.lay_out(tmp_path)
    told: dict[str, Answered] = {}
    with asked_all_the_time(addresses) as answers, shell(ROOT) as typing:
        reader = Reader(typing, tmp_path, addresses)
        for command, shown in PAGE.shown.items():
            if command in OF_MAKE:
                continue
            done = told[command] = reader.types(command, capsys)
            assert done.status == 0, (command, done.output)
            if any(word in command for word in CERTAIN):
                assert [line for line in shown if line not in shown_in(done, tmp_path)] == []
            if command.endswith(ASKED):
                source, *products = done.output.splitlines()
                before = len(answers)
        assert len(answers) > before, "the first shop is answered to the end"
    assert source == "SOURCE_PERSONAL"
    assert len(products) == 10
    assert any(": You bought it before" in product for product in products)
    assert not any("Mug" in product for product in products)
    assert all(len(answer.products) == 3 for answer in answers)
    (first,) = [text for command, text in told.items() if command.endswith("shortest.py 841)")]
    assert first.output.splitlines()[0] == "SOURCE_POPULAR"
    assert rejects(tmp_path / "corner/import") == []


def test_the_page_has_a_command_for_each_of_its_steps() -> None:
    """None of them is prose alone."""
    steps = re.split(r"^## \d+\. ", (ROOT / "docs/guides/a-new-shop.md").read_text(), flags=re.M)
    assert len(steps) == 11
    for step in steps[1:]:
        assert re.search(r"^\$ ", step.partition("\n## ")[0], re.MULTILINE), step.splitlines()[0]
