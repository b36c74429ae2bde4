"""Who is in which experiment and arm: by chance, the same everywhere, moved as little as can be."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats

from services.shared.experiments import (
    Arm,
    Experiment,
    Experiments,
    Layer,
    arm_of,
    assigned,
    bucket_of,
)
from tests.experiment_parts import experiment

UNITS = [f"demo/u:{number}" for number in range(10_000)]
IMPROBABLE = 1e-4
"""A p-value that chance gives in one of 10,000 sets of salts."""
RANKING = Layer(name="ranking", salt="ranking-2026")
WORDS = Layer(name="words", salt="words-2026")


def arms(of: Experiment) -> list[str]:
    return [arm_of(of, unit).name for unit in UNITS]


def moves(before: Experiment, after: Experiment) -> Counter[tuple[str, str]]:
    """How many shoppers went from which arm to which."""
    pairs = zip(arms(before), arms(after), strict=True)
    return Counter(pair for pair in pairs if pair[0] != pair[1])


def dependence(one: list[Any], other: list[Any]) -> float:
    """The p-value of the chi² test of two labels of the same shoppers."""
    _, rows = np.unique(one, return_inverse=True)
    _, columns = np.unique(other, return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    return float(stats.chi2_contingency(table).pvalue)


def test_buckets_are_uniform() -> None:
    """Each hundredth of a layer has as many shoppers as chance gives it."""
    counts = np.bincount([bucket_of("ranking-2026", unit) // 100 for unit in UNITS], minlength=100)
    assert len(counts) == 100
    assert stats.chisquare(counts).pvalue > IMPROBABLE


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.6, 0.3, 0.1)])
def test_arms_have_their_shares(shares: tuple[float, ...]) -> None:
    """Two arms or more, even or not."""
    counts = Counter(arms(experiment(*shares)))
    found = [counts[name] for name in sorted(counts, key=lambda name: (name != "control", name))]
    assert stats.chisquare(found, np.array(shares) * len(UNITS)).pvalue > IMPROBABLE


def test_layers_are_independent() -> None:
    """Neither the bucket nor the arm in one layer says anything about those in another."""
    first = [bucket_of(RANKING.salt, unit) // 1_000 for unit in UNITS]
    second = [bucket_of(WORDS.salt, unit) // 1_000 for unit in UNITS]
    assert dependence(first, second) > IMPROBABLE
    other = experiment(name="short-words", layer="words", salt="short-words-1")
    assert dependence(arms(experiment()), arms(other)) > IMPROBABLE


def test_arms_are_independent_of_buckets() -> None:
    """A part of the traffic has each arm's share as the whole has."""
    buckets = [bucket_of(RANKING.salt, unit) // 1_000 for unit in UNITS]
    assert dependence(buckets, arms(experiment())) > IMPROBABLE


def test_another_salt_deals_anew() -> None:
    """Who was in the arm before is in it with its share again, so nothing is carried over."""
    assert dependence(arms(experiment()), arms(experiment(salt="diverse-home-2"))) > IMPROBABLE


def test_assignment_never_changes() -> None:
    """Other machines and later releases put the same shoppers into the same arms."""
    of = experiment(0.6, 0.3, 0.1)
    found = [(bucket_of("ranking-2026", unit), arm_of(of, unit).name) for unit in UNITS[:8]]
    assert found == [
        (9753, "arm-2"),
        (1181, "control"),
        (5657, "control"),
        (3673, "control"),
        (7435, "arm-1"),
        (6834, "arm-1"),
        (2010, "control"),
        (3963, "arm-1"),
    ]
    assert bucket_of("ranking-2026", "demo/v:ñandú") == 3944


def test_two_arms_move_as_few_as_they_must() -> None:
    """From 50 to 60 %: a tenth of all shoppers moves, all of them to the arm that grows."""
    moved = moves(experiment(0.5, 0.5), experiment(0.4, 0.6))
    assert set(moved) == {("control", "arm-1")}
    assert moved.total() / len(UNITS) == pytest.approx(0.1, abs=0.01)


def test_an_arm_of_three_grows_from_both_others() -> None:
    """Who moves, moves to the arm whose share grew; nobody changes between the others."""
    moved = moves(experiment(0.4, 0.4, 0.2), experiment(0.3, 0.3, 0.4))
    assert set(moved) == {("control", "arm-2"), ("arm-1", "arm-2")}
    assert moved.total() / len(UNITS) == pytest.approx(0.2, abs=0.01)


def test_stopping_an_arm_moves_nobody() -> None:
    """Its shoppers stay its own, and are served as the control's."""
    running = experiment(0.4, 0.4, 0.2)
    stopped = msgspec.structs.replace(
        running,
        arms=(running.arms[0], Arm(name="arm-1", share=0.4, stopped=True), running.arms[2]),
    )
    assert not moves(running, stopped)
    served = Experiments(layers=(RANKING,), experiments=(stopped,))
    found = {(each.arm, each.served) for unit in UNITS[:200] for each in assigned(served, unit)}
    assert found == {("control", "control"), ("arm-1", "control"), ("arm-2", "arm-2")}


def test_a_layer_has_a_shopper_in_one_experiment_at_most() -> None:
    """Spans of buckets: each shopper is in the one that has the bucket, or in none."""
    low = experiment(name="low", salt="low-1", traffic=(0, 3_000))
    high = experiment(name="high", salt="high-1", traffic=(5_000, 10_000))
    words = experiment(name="words", salt="words-1", layer="words", traffic=(0, 5_000))
    both = Experiments(layers=(RANKING, WORDS), experiments=(low, words, high))
    for unit in UNITS[:2_000]:
        bucket = bucket_of(RANKING.salt, unit)
        ranked = ["low"] if bucket < 3_000 else ["high"] if bucket >= 5_000 else []
        worded = ["words"] if bucket_of(WORDS.salt, unit) < 5_000 else []
        assert [each.experiment for each in assigned(both, unit)] == ranked + worded


def test_more_traffic_keeps_who_was_there() -> None:
    """A longer span adds shoppers, and changes nothing for the others."""
    some = Experiments(layers=(RANKING,), experiments=(experiment(traffic=(0, 1_000)),))
    more = Experiments(layers=(RANKING,), experiments=(experiment(traffic=(0, 4_000)),))
    before = {unit: assigned(some, unit) for unit in UNITS[:2_000]}
    assert any(before.values())
    assert all(assigned(more, unit) == found for unit, found in before.items() if found)


SPEND = {"outcome": "spend", "currency": "EUR", "cap": 300.0}
TWO = [{"name": "control", "share": 0.5}, {"name": "new", "share": 0.5}]
FILE: dict[str, Any] = {
    "name": "one",
    "layer": "ranking",
    "salt": "one-1",
    "traffic": [0, 5_000],
    "arms": TWO,
    "hypothesis": "It sells more.",
    "metric": SPEND,
    "window_days": 14,
    "planned_shoppers": 20_000,
}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"traffic": [5_000, 5_000]}, "traffic is"),
        ({"traffic": [0, 10_001]}, "traffic is"),
        ({"arms": TWO[:1]}, "2 to 8 arms"),
        ({"arms": [*TWO, {"name": "third", "share": 0.1}]}, "sum to 1.1"),
        ({"arms": [TWO[0], TWO[0]]}, "named control 2 times"),
        ({"arms": [TWO[0] | {"stopped": True}, TWO[1]]}, "control cannot be stopped"),
        ({"metric": {"outcome": "spend", "currency": "EUR"}}, "a cap taken from earlier"),
        ({"metric": {"outcome": "spend", "cap": 10}}, "needs its currency"),
        ({"metric": {"outcome": "conversion", "cap": 10}}, "neither currency nor cap"),
        ({"guards": [{"harm": "late", "margin": 0.01}]}, "limit_ms where"),
        ({"guards": [{"harm": "no_purchase", "margin": 0.01}]}, "window_days where"),
        ({"guards": [{"harm": "fallback", "margin": 0.01}] * 2}, "watch fallback 2 times"),
        ({"layer": "words"}, "there is no layer words"),
        ({"salt": "ranking-2026"}, "salted with ranking-2026 2 times"),
        ({"hypotesis": "It sells more."}, "unknown field"),
    ],
)
def test_a_file_with_a_mistake_is_refused(told: dict[str, Any], said: str) -> None:
    """With a sentence that says what is wrong."""
    layers = [{"name": "ranking", "salt": "ranking-2026"}]
    file = {"layers": layers, "experiments": [FILE | told]}
    assert msgspec.convert(file | {"experiments": [FILE]}, Experiments).experiments
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(file, Experiments)


def test_experiments_that_overlap_are_refused() -> None:
    """In one layer a bucket has one experiment; in two layers it may have two."""
    low = experiment(name="low", salt="low-1", traffic=(0, 3_001))
    high = experiment(name="high", salt="high-1", traffic=(3_000, 10_000))
    with pytest.raises(ValueError, match="low and high share buckets of layer ranking"):
        Experiments(layers=(RANKING,), experiments=(high, low))
    elsewhere = msgspec.structs.replace(high, layer="words")
    assert Experiments(layers=(RANKING, WORDS), experiments=(elsewhere, low))


def test_experiments_of_one_name_are_refused() -> None:
    """Also in different layers: figures go by the name."""
    one, other = experiment(salt="one"), experiment(salt="other", layer="words")
    with pytest.raises(ValueError, match="experiments are named diverse-home 2 times"):
        Experiments(layers=(RANKING, WORDS), experiments=(one, other))
