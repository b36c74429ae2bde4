"""Where a call's processor time goes, stage by stage, without gRPC and Redis.

The real server's own parts, called as it calls them, with the same profiles and catalogue; each
stage is timed by itself over all shoppers, in processor time.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from attune.recommendations.v1 import recommendation_service_pb2 as pb
from numpy.typing import NDArray

from services.recommendations.adapters.catalog_record import decode_offer, decode_product
from services.recommendations.domain.ask import Ask
from services.recommendations.domain.candidates import Candidates, chosen
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.ranking import Ranked, best, hide
from services.recommendations.domain.sources import personal
from services.recommendations.messages import ranked_products
from services.recommendations.questions import Wanted
from services.recommendations.shoppers import Known, Who
from services.shared import profile_codec
from services.shared.bundle import load_bundle
from services.shared.encoder import Encoder, load_graph
from services.shared.model_input import encode_known, interactions, known
from services.shared.subject import split_key
from tests.bench.serve.world import World, records
from tests.recommendation_parts import loaded
from tests.storefront import SHOP, Storefront

ROUNDS: Final = 5
SHOPPERS: Final = 200
BARE: Final = "bare graph"
WHOLE_STAGE: Final = "encoder, scores, filter, top 50"
WHOLE_CALL: Final = "whole call, without gRPC and Redis"
FEW: Final = 8
"""Shoppers whose scores are kept."""
LIMIT: Final = 10
LIST: Final = 50
"""What a list of ten is chosen from."""


def stages(world: World, values: Sequence[bytes]) -> dict[str, float]:
    """Milliseconds of processor time for each stage; the median of :data:`ROUNDS`."""
    bundle = load_bundle(world.bundle)
    front, encoder = Storefront(loaded(world.bundle)[0]), Encoder(bundle)
    model, catalog = front.model, front.catalog
    fill(catalog, world)
    now, length = time.time_ns() // 1_000, bundle.settings.max_length
    profiles = [profile_codec.decode(value) for value in values]
    did = [interactions(profile, model.reads) for profile in profiles]
    read = [known(each, bundle.vocabulary) for each in did]
    told = [encode_known(*each.newest(length), max_length=length) for each in read]
    queries = [encoder.encode(each) for each in told]
    graph = load_graph(bundle.encoder_path, bundle.settings)
    feeds: list[Mapping[str, NDArray[Any]]] = [
        {
            "vectors": bundle.item_vectors.rows(each.items)[None],
            "actions": each.actions[None],
            "gaps": each.gaps[None],
            "wanted": np.array([bundle.settings.wanted], np.float32),
        }
        for each in told
    ]
    scores = bundle.item_vectors.scores
    one = scores(queries[0])
    count = len(profiles)

    def encode_score_best(shopper: int) -> None:
        found = scores(encoder.encode(told[shopper]))
        hide(found, available=catalog.available[: len(found)], excluded=())
        best(found, LIST, catalog.product_id)

    jobs: dict[str, Callable[[int], object]] = {
        "profile decoded": lambda i: profile_codec.decode(values[i]),
        "model input": lambda i: encode_known(
            *known(interactions(profiles[i], model.reads), bundle.vocabulary).newest(length),
            max_length=length,
        ),
        BARE: lambda i: graph.run(feeds[i]),
        "encoder": lambda i: encoder.encode(told[i]),
        "scores": lambda i: scores(queries[i]),
        "top 50": lambda _: best(one, LIST, catalog.product_id),
        WHOLE_STAGE: encode_score_best,
        "all scores of the model": lambda i: model.read(did[i], now),
    }
    jobs |= _of_the_list(front, values)
    gc.collect()
    gc.freeze()  # as the server: what is there stays, and no collection walks over it
    return {name: _timed(job, count) for name, job in jobs.items()}


def _of_the_list(front: Storefront, values: Sequence[bytes]) -> dict[str, Callable[[int], object]]:
    """What comes after the scores, and the whole call; of few shoppers, as scores are large."""
    loop, catalog, users = asyncio.new_event_loop(), front.catalog, [*map(str, range(FEW))]
    for user, value in zip(users, values, strict=False):
        loop.run_until_complete(front.know(user, profile_codec.decode(value)))
    known = [
        loop.run_until_complete(front.api.shoppers.known(Who(SHOP, user, ""), 10.0, None))
        for user in users
    ]
    asks = [_question(front, user, each) for user, each in zip(users, known, strict=True)]
    found = [each for ask in asks if isinstance(each := personal(ask), Candidates)]
    assert len(found) == FEW

    def listed(i: int) -> list[Ranked]:
        ask = asks[i]
        return chosen(found[i], ask.rules, catalog, ask.directions, excluded=set(), limit=LIMIT)

    lists = [*map(listed, range(FEW))]
    picks = [found[i].explain(lists[i]) for i in range(FEW)]
    jobs: dict[str, Callable[[int], object]] = {
        "question put together": lambda i: _question(front, users[i], known[i]),
        "list chosen and varied": listed,
        "reasons": lambda i: found[i].explain(lists[i]),
        "messages": lambda i: pb.RecommendResponse(
            products=ranked_products(picks[i], catalog)
        ).SerializeToString(),
        WHOLE_CALL: lambda i: loop.run_until_complete(
            front.recommend(users[i], limit=LIMIT)
        ).SerializeToString(),
    }
    return {name: _of_few(job) for name, job in jobs.items()}


def _of_few(job: Callable[[int], object]) -> Callable[[int], object]:
    return lambda shopper: job(shopper % FEW)


def _question(front: Storefront, user: str, known: Known) -> Ask:
    who, questions = Who(SHOP, user, ""), front.api.questions
    wanted = Wanted("", pb.Context(), LIMIT, questions.budget(SHOP, 10.0))
    return questions.ask(who, front.policies.of(SHOP, "home", who.unit), front.model, known, wanted)


def fill(catalog: Catalog, world: World) -> None:
    """Take in the world's products as the feed does, without Kafka."""
    for topic, (key, value) in records(world.products):
        shop_id, product_id = split_key(key)
        if topic == "catalog":
            catalog.put_product(product_id, decode_product(shop_id, product_id, value))
        else:
            catalog.put_offer(product_id, decode_offer(shop_id, product_id, value))


def _timed(job: Callable[[int], object], count: int) -> float:
    """Milliseconds a call, the median of rounds over ``count`` shoppers."""
    for shopper in range(min(20, count)):
        job(shopper)
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for shopper in range(count):
            job(shopper)
        rounds.append((time.process_time() - started) / count * 1e3)
    return float(np.median(rounds))
