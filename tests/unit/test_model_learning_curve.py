"""What a measured learning curve lets one expect, and what it does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model_export.errors import DataRefused
from model_export.evaluation import learning_curve
from model_export.evaluation.metrics import Interval
from model_export.planning import learning
from model_export.planning.learning import Curve, Point, fit, foretell, read_curve, value
from model_export.planning.synthetic import made_up
from model_export.settings import TrainSettings
from tests.planning_parts import curve

SIZES = np.array([1e5, 2.5e5, 5e5, 1e6])


@pytest.mark.parametrize(("a", "b", "c"), [(0.08, 5.0, 0.5), (0.06, 300.0, 0.8), (0.2, 0.6, 0.1)])
def test_a_curve_of_the_law_is_found_again(a: float, b: float, c: float) -> None:
    """Four points on it, and the curve is right also at twice the most data."""
    law = fit(SIZES, a - b * SIZES**-c, np.full(4, 0.001))
    for n in (1e5, 7e5, 2e6):
        assert value(law, n) == pytest.approx(a - b * n**-c, abs=2e-4)


def test_more_data_is_never_said_to_be_worse() -> None:
    """Where the points fall, the curve is level."""
    law = fit(SIZES, np.array([0.05, 0.049, 0.048, 0.047]), np.full(4, 0.001))
    assert value(law, 2e6) == pytest.approx(value(law, 1e5)) == pytest.approx(0.0485, abs=1e-3)


def test_the_interval_holds_the_truth_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 40 noisy measurements nine tenths or more have the true value in their 95 %."""
    monkeypatch.setattr(learning, "DRAWS", 100)
    random, held = np.random.default_rng(5), 0
    for _ in range(40):
        points = [
            Point(n / 1e6, round(n), (y, y - 0.00392, y + 0.00392))
            for n in SIZES
            for y in [float(0.08 - 5.0 * n**-0.5 + random.normal(0, 0.002))]
        ]
        _, low, high = foretell(Curve("a shop", points), 1_000_000, 0.005).at[3].ndcg
        held += low <= 0.075 <= high
    assert held >= 36


def test_enough_is_said_where_twice_the_data_brings_nothing() -> None:
    """A level curve is enough, a rising one is not, and says what a gain would take."""
    level = foretell(curve(0.08, 20.0, 0.9, width=1e-4), 1_000_000, 0.005)
    assert level.verdict.startswith("the data is enough: twice as much would bring 0.0 %")
    rising = foretell(curve(0.08, 5.0, 0.4, width=1e-4), 1_000_000, 0.002)
    assert rising.verdict.startswith("more data would help")
    assert "+0.002 would take 1.3 times the data" in rising.verdict
    never = foretell(curve(0.08, 5.0, 0.5, width=1e-4), 1_000_000, 0.02)
    assert "+0.02 is beyond what the curve says any amount reaches" in never.verdict


def test_a_wide_interval_leaves_it_open() -> None:
    """Noise makes enough a probability."""
    found = foretell(curve(0.08, 20.0, 0.9, width=0.02), 1_000_000, 0.005)
    assert not found.verdict.startswith("the data is enough")
    assert found.at[3].ndcg[2] - found.at[3].ndcg[1] > 0.005


def test_shares_are_of_the_planned_data() -> None:
    """A plan with half of what was measured asks for 5 to 100 %; with ten times, for little."""
    half = foretell(curve(0.08, 5.0, 0.5), 500_000, 0.005)
    assert [each.share for each in half.at] == [0.1, 0.25, 0.5, 1.0, 2.0]
    assert [each.is_measured for each in half.at] == [False, True, True, True, True]
    assert half.at[3].ndcg[0] == pytest.approx(0.08 - 5.0 * 500_000**-0.5, abs=1e-3)
    far = foretell(curve(0.08, 5.0, 0.5), 10_000_000, 0.005)
    assert [each.share for each in far.at] == [0.1]
    assert "10.0 times the most data that was measured" in far.verdict


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ("[]", "0 amounts of data; a curve needs 3 or more"),
        ("[{}]", "is no learning curve"),
        (
            json.dumps([{"share": 1, "interactions": n, "ndcg": [2, 0, 3]} for n in (1, 2, 3)]),
            "0 to 1",
        ),
    ],
)
def test_what_is_no_curve_is_refused(tmp_path: Path, points: str, says: str) -> None:
    """Too few points, no points, and figures that are none."""
    path = tmp_path / "curve.json"
    path.write_text(f'{{"data": "a shop", "points": {points}}}')
    with pytest.raises(DataRefused, match=says):
        read_curve(path)


def test_what_the_command_writes_is_read(tmp_path: Path) -> None:
    """The file of `learning-curve` says more than a plan reads, and all that it reads."""
    points = [
        learning_curve.Point(
            share=share,
            users=round(100 * share),
            interactions=round(8_000 * share),
            products=50,
            epoch=3,
            seconds=1.5,
            ndcg=Interval(share / 10, share / 11, share / 9),
            rows=[],
        )
        for share in learning_curve.SHARES
    ]
    source = made_up(100, 50, 8_000).source
    told = {"seed": 1, "cases": 100, "users": 100}
    whole = learning_curve.LearningCurve(
        data="a shop", source=source, settings=TrainSettings(), points=points, **told
    )
    found = read_curve(learning_curve.save(whole, tmp_path))
    assert (found.data, len(found.points)) == ("a shop", 4)
    assert found.points[3].ndcg == pytest.approx((0.1, 1 / 11, 1 / 9))
