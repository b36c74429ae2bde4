"""The bench of variety counts what the project counts, and its control is the one it names."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from model_export.dataset import HELD_OUT
from model_export.evaluation.evaluate import evaluate
from model_export.evaluation.metrics import Interval
from services.recommendations.domain.ranking import Ranked
from services.shared.bundle import load_bundle
from tests.bench.diversity.arms import DPP, MMR, curve, lists_of
from tests.bench.diversity.determinantal import determinantal
from tests.bench.diversity.drawing import Found, draw, rows_at, rows_of
from tests.bench.diversity.shop import Shop
from tests.bench.diversity.variety import Variety, different, distance, pairs_apart, variety
from tests.gate_parts import shelf_bundle, shop


def test_strength_0_has_the_figures_of_an_evaluation(tmp_path: Path) -> None:
    """Of the same bundle and data, on all purchases and on new ones."""
    data = shop()
    bundle = load_bundle(shelf_bundle(tmp_path / "bundle", data, lifts="0246"))
    seller = Shop(data, bundle)
    rows = [row for row in evaluate(data, bundle).rows if row.method == "model"]
    for asked, row in zip(seller.asked(HELD_OUT, 1), rows, strict=True):
        (ranking,) = curve(MMR, [0])
        found = variety(seller, asked, lists_of(seller, asked, ranking))
        assert found.ndcg.mean() == pytest.approx(row.ndcg.mean, abs=1e-6)
        assert set(found.different) == {"merchant"}
        assert found.apart is None


@pytest.mark.parametrize("strength", [0.1, 0.5, 0.9])
def test_the_control_adds_what_the_determinant_grows_by(strength: float) -> None:
    """Step by step it is the product that the definition has, computed from whole determinants."""
    random = np.random.default_rng(3)
    vectors = random.normal(size=(20, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.sort(random.normal(size=20))[::-1]
    pool = list(itertools.starmap(Ranked, enumerate(scores.tolist())))
    likeness = (1 + vectors @ vectors.T) / 2
    by_score = (scores - scores[-1]) / (scores[0] - scores[-1])

    def worth(places: list[int]) -> float:
        volume = np.linalg.slogdet(likeness[np.ix_(places, places)])[1]
        return float((1 - strength) * by_score[places].sum() + strength * volume)

    chosen = [0]
    while len(chosen) < 6:
        rest = [place for place in range(20) if place not in chosen]
        chosen.append(max(rest, key=lambda place: worth([*chosen, place])))
    found = determinantal(pool, vectors.astype(np.float32), limit=6, strength=strength)
    assert [each.row for each in found] == chosen


def test_variety_is_counted_over_pairs_and_kinds() -> None:
    """Cosines of pairs, kinds of a list, and pairs of two kinds, on lists made by hand."""
    east, north, west = (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)
    lists = np.array([[east, east, north], [east, north, west]], np.float32)
    assert distance(lists) == pytest.approx(((0 + 1 + 1) / 3 + (1 + 2 + 1) / 3) / 2)
    codes = np.array([[7] * 10, [1, 2] * 5])
    assert different(codes) == 1.5
    assert pairs_apart(codes) == pytest.approx((0 + 25 / 45) / 2)


def test_what_was_measured_is_told_and_drawn(tmp_path: Path) -> None:
    """Every figure is a row, and the chart names the strengths."""
    arms = [*curve(MMR, [0, 0.5]), *curve(DPP, [0, 0.5])]
    found = [
        Found(
            arm,
            Variety(np.array([0.2, 0.1]), apart, apart, apart, {"brand": 2.5}, 0.25),
            Interval(3 * arm.strength, 1.0, 2.0),
        )
        for arm, apart in zip(arms, (0.6, 0.9, 0.6, 0.8), strict=True)
    ]
    told = {row.measure.removeprefix("q: "): row.value for row in rows_of("q", found)}
    assert told["MMR 0.5"] == pytest.approx(0.15)
    assert told["MMR 0.5: NDCG@10 lost"] == 1.5
    assert told["MMR 0.5: pairs of two categories"] == pytest.approx(90)
    assert told["MMR 0.5: brands"] == 2.5
    assert told["MMR 0.5: shown to anybody"] == 25
    (at,) = (
        row.value
        for row in rows_at("q", found, 1.0)
        if row.measure.endswith("MMR where 1 % is lost: distance")
    )
    assert at == pytest.approx(0.8)
    draw(tmp_path / "chart.svg", "a shop", found)
    assert {"MMR", "0.5", "a shop"} <= set(
        (tmp_path / "chart.svg").read_text().replace("<", ">").split(">")
    )
