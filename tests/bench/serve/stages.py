"""Where a call's processor time goes, stage by stage, without gRPC and Redis.

The real server's own parts, called as it calls them, with the same profiles and catalogue; each
stage is timed by itself over all shoppers, in processor time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.recommendations.adapters.catalog_record import decode_offer, decode_product
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.ranking import best
from services.shared import profile_codec
from services.shared.bundle import load_bundle
from services.shared.encoder import Encoder, load_graph
from services.shared.model_input import Vocabulary, encode_known, interactions, known
from services.shared.subject import split_key
from tests.bench.serve.world import World, records
from tests.recommendation_parts import loaded

ROUNDS: Final = 5
SHOPPERS: Final = 200
BARE: Final = "bare graph"
WHOLE_STAGE: Final = "encoder, scores, top 50"
LIST: Final = 50
"""What a list of ten is chosen from."""


def stages(world: World, values: Sequence[bytes]) -> dict[str, float]:
    """Milliseconds of processor time for each stage; the median of :data:`ROUNDS`."""
    bundle = load_bundle(world.bundle)
    model, encoder = loaded(world.bundle)[0], Encoder(bundle)
    catalog = filled_catalog(world, bundle.vocabulary)
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
        query = encoder.encode(told[shopper])
        best(scores(query), LIST, catalog.product_id)

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
    return {name: _timed(job, count) for name, job in jobs.items()}


def filled_catalog(world: World, vocabulary: Vocabulary) -> Catalog:
    """The catalogue, filled as the feed does, without Kafka."""
    catalog = Catalog(vocabulary)
    for topic, (key, value) in records(world.products):
        shop_id, product_id = split_key(key)
        if topic == "catalog":
            catalog.put_product(product_id, decode_product(shop_id, product_id, value))
        else:
            catalog.put_offer(product_id, decode_offer(shop_id, product_id, value))
    return catalog


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
