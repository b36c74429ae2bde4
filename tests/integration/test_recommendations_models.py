"""The life of a model on a real server: exchanged under load, refused, tried, sent back."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb
from attune.recommendations.v1 import recommendation_service_pb2_grpc as pb_grpc
from onnx import TensorProto, helper

from services.recommendations.adapters.registry import Registry
from services.recommendations.domain.serving import Canary, is_canarys
from services.shared.archive_storage import LocalStorage
from tests.model_life import WITHIN, Life, living
from tests.recommendation_shop import (
    bought,
    refusal,
)
from tests.tiny_bundle import encoder_inputs, seal, write_graph
from tests.waiting import eventually, eventually_async

OTHERS = {"lamp": (0.0, 1.0, 0.0), "fork": (0.5, 0.0, 0.5), "mug": (1.0, 0.0, 0.0)}
"""What the bundle ``c`` has learned, in its order."""


@pytest.fixture(scope="module")
def life(
    tmp_path_factory: pytest.TempPathFactory, kafka_servers: str, redis_url: str
) -> Iterator[Life]:
    """A server with ``a`` served to ``demo``, whose registry is an object store to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSSPEC_FILE_AUTO_MKDIR", "true")  # as object stores have no folders
        with living(tmp_path_factory.mktemp("life"), kafka_servers, redis_url) as life:
            yield life


def test_models_are_exchanged_under_load_without_a_failed_call(life: Life) -> None:
    """Sixteen callers see one model, then another of other products, then the first: no error."""
    life.do("publish", str(life.bundle("c", OTHERS)))
    seen: Counter[str] = Counter()
    order: list[str] = []

    def enough(version: str, calls: int) -> Callable[[], Awaitable[bool]]:
        async def so() -> bool:
            return seen[version] >= calls

        return so

    async def load() -> None:
        over = asyncio.Event()
        async with grpc.aio.insecure_channel(life.service.address) as channel:
            stub = pb_grpc.RecommendationServiceStub(channel)
            metadata = life.demo._metadata

            async def caller() -> None:
                while not over.is_set():
                    answer = await stub.Recommend(
                        pb.RecommendRequest(user_id="ana"), metadata=metadata, timeout=10
                    )
                    assert answer.source == pb.SOURCE_PERSONAL
                    assert {"mug", "lamp", "fork"} <= {each.product_id for each in answer.products}
                    seen[answer.model_version] += 1
                    if order[-1:] != [answer.model_version]:
                        order.append(answer.model_version)

            async def exchange() -> None:
                try:
                    for version in ("c", "a", "c", "a"):
                        await asyncio.to_thread(life.do, "promote", version)
                        await eventually_async(enough(version, seen[version] + 150), within=WITHIN)
                finally:
                    over.set()

            await asyncio.gather(exchange(), *(caller() for _ in range(16)))

    life.until_answered_by("a")
    asyncio.run(load())
    assert set(seen) == {"a", "c"}
    assert set(order[:2]) == {"a", "c"}
    assert sum(seen.values()) >= 600
    swaps = 'model_swaps_total{role="served",shop_id="demo"}'
    assert life.service.metric(swaps) >= 5
    assert life.service.metric('model_info{role="served",shop_id="demo",version="a"}') == 1


def test_a_damaged_bundle_changes_nothing(life: Life) -> None:
    """It is refused, counted and said; what answered goes on."""
    life.until_answered_by("a")
    life.do("publish", str(life.bundle("damaged")))
    path = life.registry / "demo/bundles/damaged/items.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    life.do("promote", "damaged")
    refused = 'model_refusals_total{reason="refused",shop_id="demo"}'
    eventually(lambda: life.service.metric(refused) >= 1, within=WITHIN)
    assert life.demo.recommend("ana").model_version == "a"
    assert "items.npy has SHA-256" in life.logged("model_refused")[-1]["message"]
    life.do("rollback", "--why", "damaged")
    assert life.serving().served == "a"
    assert life.models("publish", str(path.parent)) == 2


def test_a_store_that_disappears(life: Life) -> None:
    """Answers go on; when it is back, the next change is followed."""
    life.until_answered_by("a")
    life.do("publish", str(life.bundle("b")))
    failures = 'registry_read_failures_total{shop_id="demo"}'
    before = life.service.metric(failures)
    hidden = life.registry.rename(life.folder / "hidden")
    life.registry.write_bytes(b"no folder")
    eventually(lambda: life.service.metric(failures) >= before + 2, within=WITHIN)
    assert life.demo.recommend("ana").model_version == "a"
    life.registry.unlink()
    hidden.rename(life.registry)
    life.do("promote", "b")
    life.until_answered_by("b")
    life.do("rollback")
    life.until_answered_by("a")
    life.do("rollback")
    assert life.demo.recommend("ana").model_version == "a"


def test_the_shadow_is_reported(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody sees its answers; the report, as text, JSON and page, says how they compare."""
    life.until_answered_by("a")
    life.do("publish", str(life.bundle("d", OTHERS)))
    life.do("shadow", "d", "--sample", "1")
    role = 'model_info{role="shadow",shop_id="demo",version="d"}'
    eventually(lambda: life.service.metric(role) == 1, within=WITHIN)
    compared = 'shadow_answers_total{outcome="compared",shop_id="demo"}'

    def enough() -> bool:
        assert life.demo.recommend("ana").model_version == "a"
        return life.service.metric(compared) >= 5

    eventually(enough, within=WITHIN)
    page = life.folder / "page.html"

    def report() -> dict[str, Any]:
        capsys.readouterr()
        life.do("show", "--compare", "--json", "--page", str(page))
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    eventually(lambda: "home" in report()["scenarios"], within=WITHIN)
    told = report()
    assert (told["served"], told["shadow"]) == ("a", "d")
    home = told["scenarios"]["home"]
    assert home["compared"] >= 5
    assert 0 < home["overlap_at_10"] <= 1
    assert home["shadow_p99_ms"] > 0
    assert "in the shadow of a" in page.read_text()
    life.do("show", "--compare")
    assert "overlap@10" in capsys.readouterr().out
    life.do("stop", "shadow")
    eventually(lambda: life.service.metric('model_info{role="shadow"') == 0, within=WITHIN)


def breaking(folder: Path) -> None:
    """An encoder that fails on whoever did more than two things: no golden input does."""
    value = helper.make_tensor
    write_graph(
        folder / "encoder.onnx",
        [
            helper.make_node("ReduceSum", ["vectors", "axes"], ["sum"], keepdims=0),
            helper.make_node(
                "Constant", [], ["table"], value=value("t", TensorProto.FLOAT, [3], [0.0] * 3)
            ),
            helper.make_node("Sign", ["actions"], ["done"]),
            helper.make_node("ReduceSum", ["done", "axes"], ["count"], keepdims=1),
            helper.make_node("Gather", ["table", "count"], ["nothing"]),
            helper.make_node("Add", ["sum", "nothing"], ["query"]),
        ],
        encoder_inputs(3),
        ("query", 3),
    )


def test_a_canary_that_fails_goes_back_by_itself(life: Life) -> None:
    """Its shoppers get answers all the same; the document says why it was stopped."""
    life.until_answered_by("a")
    folder = life.bundle("breaks")
    breaking(folder)
    seal(folder, version="breaks")
    life.do("publish", str(folder))
    life.do("canary", "breaks", "--share", "0.5", "--minimum", "20")
    terms = Canary(version="breaks", share=0.5)
    people = [f"u{number}" for number in range(60)]
    ours = [who for who in people if is_canarys(terms, "demo", f"u:{who}")]
    assert 10 < len(ours) < 50
    for who in people:
        life.demo.know(f"u:{who}", bought("mug"))
    life.until_answered_by("breaks", user=ours[0])
    versions = {who: life.demo.recommend(who).model_version for who in people}
    assert {who for who, version in versions.items() if version == "breaks"} == set(ours)
    busy = [f"busy{number}" for number in range(60)]
    for who in busy:
        life.demo.know(f"u:{who}", bought("mug", "lamp", "rake"))

    def stopped() -> bool:
        for who in busy:
            answer = life.demo.recommend(who)
            assert answer.source == pb.SOURCE_PERSONAL
        canary = life.serving().canary
        return canary is not None and canary.share == 0

    eventually(stopped, within=WITHIN)
    canary = life.serving().canary
    assert canary is not None
    assert "answers failed" in canary.stopped
    assert life.service.metric('canary_stops_total{guard="errors",shop_id="demo"}') == 1
    assert life.service.metric('canary_share{shop_id="demo"}') == 0
    assert {life.demo.recommend(who).model_version for who in people} == {"a"}
    history = list(Registry(LocalStorage(life.registry), lambda: 0).history("demo"))
    assert history[0].who.startswith("server ")
    assert history[0].why == canary.stopped


def test_a_shop_of_its_own_and_a_stranger(life: Life) -> None:
    """Each shop has its own bundle; one that the server was not told of is refused."""
    other = life.shops["other"]
    life.do("publish", str(life.bundle("o", OTHERS)), shop="other")
    life.do("promote", "o", shop="other")
    other.list_products("mug", "fork")
    other.know("u:ana", bought("mug"))
    life.until_answered_by("o", shop="other")
    life.until_answered_by("a")
    code, reason, _ = refusal(life.shops["stranger"].recommend)
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "SHOP_NOT_SERVED")


def test_what_is_there_and_what_was_done(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` and ``show`` tell it in words; a refusal is a sentence with status 2."""
    capsys.readouterr()
    life.do("list")
    assert "a  served" in capsys.readouterr().out
    life.do("show", "--last", "1000")
    told = capsys.readouterr().out
    assert "served: a" in told
    assert "promote a" in told
    assert life.models("promote", "nowhere") == 2
    assert "no bundle is published as nowhere" in capsys.readouterr().err
    clicks = life.folder / "clicks.json"
    clicks.write_text('{"a": {"answers": 100, "clicked": 5}}')
    life.do("judge", str(clicks))
    assert "nothing to do" in capsys.readouterr().out
