"""The paired bootstrap of the gate: it covers the truth, sees what was planted, and no more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model_export.evaluation.segments import Question
from model_export.gate.paired import Differences, differences
from model_export.gate.quality import no_loss, not_worse

USERS = 200
BASKETS = 3
DRAWS = 300
TRIALS = 120
MEAN = 0.3
"""Of what the current model reaches in these worlds."""
MARGIN = 0.05

Floats = NDArray[np.float64]


def questions(parts: int = 1) -> list[Question]:
    """The users divided into as many parts of equal size, each with some baskets."""
    users = owners()
    return [
        Question(f"part {part}", np.flatnonzero(users % parts == part), [], USERS // parts)
        for part in range(parts)
    ]


def owners() -> NDArray[np.int64]:
    return np.repeat(np.arange(USERS), BASKETS)


def world(
    seed: int, asked: Sequence[Question], *, lost: float = 0.0, place: int | None = None
) -> tuple[list[Floats], list[Floats]]:
    """What candidate and current reach; of part ``place`` the share ``lost`` is lost in truth.

    A user is hard for both alike, and each basket is a little different for either.
    """
    random = np.random.default_rng(seed)
    hard = np.repeat(random.uniform(0, 2 * MEAN, USERS), BASKETS)
    cases = USERS * BASKETS
    current = hard + random.normal(0, 0.1, cases)
    candidate = hard + random.normal(0, 0.1, cases)
    found = [
        candidate[each.places] - (lost * MEAN if place in (None, number) else 0)
        for number, each in enumerate(asked)
    ]
    return found, [current[each.places] for each in asked]


def compared(seed: int, parts: int = 1, **truth: float | int | None) -> Differences:
    asked = questions(parts)
    candidate, current = world(seed, asked, **truth)  # type: ignore[arg-type]  # by name
    return differences(asked, candidate, current, owners(), seed=1, draws=DRAWS)


def test_an_interval_covers_the_truth() -> None:
    """In 95 of 100 worlds the true difference is within, give or take what chance allows."""
    found = [compared(seed, lost=0.1).one_by_one(0.95)[0] for seed in range(TRIALS)]
    inside = [each.low <= -0.1 * MEAN <= each.high for each in found]
    assert 0.88 <= np.mean(inside) <= 0.995


def test_intervals_of_all_segments_cover_all_truths_at_once() -> None:
    """Corrected, all eight hold in 95 of 100 worlds; one by one, in far fewer."""
    together, alone = [], []
    for seed in range(TRIALS):
        found = compared(seed, parts=8)
        together.append(all(each.low <= 0 <= each.high for each in found.all_at_once(0.95)))
        alone.append(all(each.low <= 0 <= each.high for each in found.one_by_one(0.95)))
    assert np.mean(together) >= 0.88
    assert np.mean(alone) <= 0.8


def test_pairing_makes_intervals_narrow() -> None:
    """What makes a user hard for both models says nothing about which is better."""
    asked = questions()
    candidate, current = world(1, asked)
    paired = compared(1).one_by_one(0.95)[0]
    shuffled = [np.random.default_rng(1).permutation(current[0].reshape(USERS, -1)).ravel()]
    unpaired = differences(asked, candidate, shuffled, owners(), seed=1, draws=DRAWS)
    wide = unpaired.one_by_one(0.95)[0]
    assert paired.high - paired.low < (wide.high - wide.low) / 2


def test_a_candidate_at_the_margin_is_hardly_ever_taken() -> None:
    """One that loses just what it may at most is shown to be within in about 1 of 40 worlds."""
    passed = []
    for seed in range(TRIALS):
        found = compared(seed, lost=MARGIN)
        (interval,) = found.one_by_one(0.95)
        said = not_worse(found.questions[0], "NDCG@10", MEAN, interval, MARGIN)
        passed.append(said.outcome == "passed")
    assert np.mean(passed) <= 0.07


def test_as_good_a_candidate_passes() -> None:
    """Trained again, no better and no worse: it passes in nearly all worlds."""
    passed = []
    for seed in range(TRIALS):
        found = compared(seed)
        (interval,) = found.one_by_one(0.95)
        said = not_worse(found.questions[0], "NDCG@10", MEAN, interval, 2 * MARGIN)
        passed.append(said.outcome == "passed")
    assert np.mean(passed) >= 0.95


def segments_refused(seed: int, **truth: float) -> list[bool]:
    found = compared(seed, parts=4, **truth)
    return [
        no_loss(question, current, interval, MARGIN, 4).outcome == "refused"
        for question, current, interval in zip(
            found.questions, found.current.tolist(), found.all_at_once(0.95), strict=True
        )
    ]


def test_a_loss_planted_in_one_segment_is_caught_there() -> None:
    """A quarter lost in one of four: that one refuses, and of the others hardly any."""
    refused = np.array([segments_refused(seed, lost=0.25, place=2) for seed in range(TRIALS)])
    assert refused[:, 2].mean() >= 0.95
    assert refused[:, [0, 1, 3]].mean() <= 0.02


def test_segments_of_as_good_a_candidate_hardly_ever_refuse() -> None:
    """Looking at four, one refuses for nothing in at most 1 of 20 worlds."""
    refused = [any(segments_refused(seed)) for seed in range(TRIALS)]
    assert np.mean(refused) <= 0.06


def test_the_same_model_differs_in_nothing() -> None:
    """Not even by rounding: the interval is a point at 0, and nothing refuses."""
    asked = questions(2)
    same, _ = world(1, asked)
    found = differences(asked, same, same, owners(), seed=1, draws=DRAWS)
    for each in (*found.one_by_one(0.95), *found.all_at_once(0.95)):
        assert each == (0, 0, 0)


def test_draws_without_a_case_of_a_segment_do_not_count() -> None:
    """Of a segment of one user many draws have none."""
    asked = [Question("one", np.array([0]), [], 1), *questions()]
    candidate, current = world(1, asked)
    found = differences(asked, candidate, current, owners(), seed=1, draws=DRAWS)
    assert np.isnan(found.drawn[:, 0]).any()
    for each in (*found.one_by_one(0.95), *found.all_at_once(0.95)):
        assert np.isfinite(each).all()
