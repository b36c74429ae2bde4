"""A small shop with two bundles that know some of its shelves, to be judged by the gate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from model_export.dataset import Content, Prepared
from model_export.evaluation.evaluate import held_out
from model_export.evaluation.model_ranker import ModelRanker
from model_export.exporting.origin import origin
from model_export.gate.comparison import Comparison, Contender
from model_export.gate.settings import GateSettings
from services.shared.bundle import load_bundle
from tests.model_parts import Row, by_time
from tests.tiny_bundle import make_bundle

SHELVES = "abc"
ON_A_SHELF = 8
SHOPPERS = {"a": 30, "b": 60, "c": 30}
QUICK = GateSettings(large=20, draws=300, latency_rounds=3, latency_tolerance=100)
"""No test hangs on how fast this machine is."""


def shop(*, days: int = 16, seed: int = 7) -> Prepared:
    """Each shopper buys a product of one shelf a day; their group is their shelf.

    The products of a shelf are offered by two merchants; one of them sells little.
    """
    random = np.random.default_rng(seed)
    rows: list[Row] = []
    groups: list[str | None] = []
    for shelf, number in SHOPPERS.items():
        for user in range(number):
            groups.append(shelf)
            chosen = random.choice(ON_A_SHELF, size=days, p=[0.05, 0.05, *[0.15] * 6])
            rows += [
                (f"{shelf}{user:03}", f"{shelf}{item}", day) for day, item in enumerate(chosen)
            ]
    data = by_time(rows)
    small = [[2 if item[1] in "01" else 1] for item in data.ids.items]
    content = Content(["merchant:large", "merchant:small"], np.array(small, np.int32))
    return replace(data, ids=replace(data.ids, groups=groups), content=content)


def shelf_bundle(
    folder: Path,
    data: Prepared,
    *,
    knows: str = SHELVES,
    version: str = "shelves-1",
    lifts: str = "",
) -> Path:
    """A bundle that shows a shopper the products of their shelf, if it ``knows`` that shelf.

    Of a shelf that it does not know it shows none before others, in the order of ids.
    Products whose number is in ``lifts`` come first on their shelf.
    """
    vectors = {
        item: [
            float(item[0] == shelf and shelf in knows) * (2 if item[1] in lifts else 1)
            for shelf in SHELVES
        ]
        for item in data.ids.items
    }
    make_bundle(folder, vectors)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest |= {"version": version, "created_from": origin(data.source)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def comparison(
    data: Prepared, candidate: Path, current: Path, settings: GateSettings = QUICK
) -> Comparison:
    """Both bundles' rankings of the shop's held-out baskets."""
    cases = held_out(data)
    contenders = [
        Contender(bundle, list(ModelRanker(data, bundle).rank(cases)))
        for bundle in (load_bundle(candidate), load_bundle(current))
    ]
    return Comparison(data, cases, contenders[0], contenders[1], settings)
