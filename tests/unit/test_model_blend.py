"""How a blend is chosen: small cases of which it is plain what is best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model_export.dataset import VALIDATION, Prepared
from model_export.evaluation.cases import Case, cases_of
from model_export.evaluation.metrics import most_gain
from model_export.training.blend import choose, extras, learn_weights
from model_export.training.candidates import Parts, Scores, learn_signals, parts_of
from services.shared.item_vectors import Floats
from services.shared.repeat import MASKED, first_scores, repeat_scores
from tests.model_parts import Row, by_time, leave_one_out

CASES, WIDE = 40, 30


def parts(*, again: bool = False, seed: int = 1) -> Parts:
    """Cases of noise: one relevant product each, ten bought before or none."""
    random = np.random.default_rng(seed)
    noise = [random.normal(size=(CASES, WIDE)).astype(np.float32) for _ in range(4)]
    had = np.zeros((CASES, WIDE), dtype=bool)
    had[:, :10] = again
    relevant = np.zeros((CASES, WIDE), dtype=bool)
    relevant[np.arange(CASES), random.integers(10, WIDE, CASES)] = True
    most = np.full(CASES, most_gain(1))
    table = np.where(had, noise[3], np.nan).astype(np.float32)
    return Parts(noise[0], noise[1], noise[2], table, had, relevant, most, most.copy())


def test_a_signal_that_tells_is_weighed_and_one_that_does_not_is_left_out() -> None:
    """Likeness names the product that is bought; whatever else is added is no better."""
    noise = parts()
    told = noise._replace(neighbours=noise.relevant.astype(np.float32))
    found = choose(told, repeats=0)
    assert found.neighbours > 0
    assert found.first == 0
    assert found.ndcg_new == found.ndcg == 1


def test_where_the_model_knows_all_nothing_is_added() -> None:
    """Of blends that do as well the simplest is taken."""
    noise = parts()
    found = choose(noise._replace(model=noise.relevant.astype(np.float32)), repeats=0)
    assert (found.neighbours, found.first, found.scale) == (0, 0, 0)
    assert found.ndcg_new == 1


def test_the_unit_of_a_signal_is_of_no_account() -> None:
    """A signal a thousand times as large is weighed a thousandth."""
    noise = parts()
    likely = noise.relevant + noise.neighbours / 4
    small, large = (
        choose(noise._replace(neighbours=(likely * unit).astype(np.float32)), repeats=0)
        for unit in (1, 1024)
    )
    assert small.neighbours > 0
    assert np.isclose(small.neighbours, large.neighbours * 1024)
    assert small.ndcg_new == large.ndcg_new


def test_what_was_bought_is_masked_where_nobody_buys_a_thing_twice() -> None:
    """Also where the model would have put it first."""
    noise = parts(again=True)
    loved = noise._replace(model=noise.model + 10 * noise.had)
    assert choose(loved, repeats=0).offset == MASKED
    assert choose(loved, repeats=5).offset == MASKED


def test_what_is_bought_again_comes_first() -> None:
    """The table tells which; the model, which likes the new, is outvoted."""
    noise = parts(again=True)
    relevant = np.zeros_like(noise.relevant)
    relevant[:, 3] = True
    again = np.where(relevant, 2.0, noise.again / 4).astype(np.float32)
    found = choose(
        noise._replace(
            model=noise.model - 10 * noise.had,
            relevant=relevant,
            again=again,
            most_new=np.zeros(CASES),
        ),
        repeats=5,
    )
    assert found.ndcg > 0.95
    assert found.scale > 0
    assert found.offset > 5
    assert found.ndcg_new == 0


def silent(data: Prepared) -> Scores:
    """A model that has nothing to say."""

    def scores(cases: Sequence[Case]) -> Floats:
        return np.zeros((len(cases), len(data.ids.items) + 1), dtype=np.float32)

    return scores


def everything(data: Prepared) -> np.ndarray:
    """Every item has a row."""
    return np.arange(1, len(data.ids.items) + 1)


def test_reviews_mask_and_groceries_bring_back() -> None:
    """The same learner, on data without repeats and on data of little else."""
    reviews = leave_one_out({f"u{n}": "abcdefghijkl"[n % 6 : n % 6 + 6] for n in range(30)})
    found = learn_weights(reviews, everything(reviews), silent(reviews), days=None)
    assert found is not None
    assert found.offset == MASKED
    rows: list[Row] = [
        (f"u{n}", f"whim {n} {day}" if day % 3 == 1 else f"yours {n}", day)
        for n in range(30)
        for day in range(24)
    ]
    shop = by_time(rows)
    index = everything(shop)
    found = learn_weights(shop, index, silent(shop), days=28)
    assert found is not None
    assert found.ndcg > 0.9
    _, _, table = extras(learn_signals([shop], index, before=VALIDATION, days=28), found)
    (case, *_) = cases_of(shop, VALIDATION)
    products, gains = repeat_scores(
        table,
        index[shop.items[case.before]],
        shop.actions[case.before],
        shop.at[case.before],
        int(shop.at[case.before.stop]),
    )
    first = first_scores(table)
    assert products[gains.argmax()] == index[case.relevant[0]]
    assert gains.max() > (0 if first is None else first.max())


def test_nothing_to_foretell_is_no_blend() -> None:
    """A validation part of first visits alone."""
    data = by_time([("ana", "a", 1), ("ben", "a", 8), ("cat", "b", 10)])
    assert learn_weights(data, everything(data), silent(data), days=None) is None


def test_candidates_are_what_was_bought_and_the_best_of_each_signal() -> None:
    """Each once, as far as there are; what fills up a row can never be ranked."""
    data = leave_one_out({"ana": "abca", "ben": "bcdb", "cat": "deff"})
    signals = learn_signals([data], everything(data), before=VALIDATION, days=None)
    cases = cases_of(data, VALIDATION)
    found = parts_of(data, cases, silent(data), everything(data), signals)
    real = np.isfinite(found.model)
    assert real.sum(axis=1).tolist() == [6, 6, 6]
    assert not found.relevant[~real].any()
    assert np.isfinite(found.again).sum(axis=1).tolist() == [2, 2, 2]
    assert found.had[:, :6].tolist() == [
        [letter in had for letter in "abcdef"] for had in ("ab", "bc", "de")
    ]
    assert found.relevant[:, :6].argmax(axis=1).tolist() == [2, 3, 5]
