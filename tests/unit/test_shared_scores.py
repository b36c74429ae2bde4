"""The score of every product: the encoder's, what is like the history, and buying again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.shared.bundle import load_bundle
from services.shared.model_input import CLICK, IMPRESSION, PURCHASE, SEARCH, VIEW, Known, known
from services.shared.repeat import DAY, MASKED, RepeatTable, numbers, repeat_scores
from services.shared.scores import Scorer, best
from tests.tiny_bundle import add_neighbours, make_bundle, seal, write_json

VECTORS = {"mug": (1.0, 0.0), "cup": (1.0, 0.25), "lamp": (0.0, 1.0), "rake": (0.5, 0.5)}
LIKES = {1: {2: 0.5, 4: 0.25}, 2: {1: 0.5}, 3: {3: 1.0}}
TABLE = {"counts": [2, 4], "recency_days": [7], "score": [[1, 0.5], [2, 1.5], [4, 3]]}
NOW = 1_000 * DAY
QUERY = np.array([1.0, 2.0], np.float32)
ALONE = np.array([0.0, 1.0, 1.5, 2.0, 1.5])
"""Query · vector of padding and the four products."""


def scorer(folder: Path, *, history: int = 100, **blend: float) -> Scorer:
    """A scorer of a tiny bundle with this blend."""
    make_bundle(folder, VECTORS, blend=blend, history=history)
    if blend.get("neighbours"):
        add_neighbours(folder, LIKES, rows=5)
    if blend.get("repeat"):
        write_json(folder / "repeat.json", TABLE)
    seal(folder)
    return Scorer(load_bundle(folder))


def did(*events: tuple[int, int, int]) -> Known:
    """What was done: (product, action, days ago), oldest first."""
    items, actions, ago = (np.array(column) for column in zip(*events, strict=True))
    return Known(items.astype(np.int32), actions, NOW - ago * DAY)


def test_without_a_blend_a_score_is_query_times_vector(tmp_path: Path) -> None:
    """Whatever the shopper did."""
    found = scorer(tmp_path).scores(QUERY, did((1, PURCHASE, 1)), NOW)
    assert found.tolist() == ALONE.tolist()


def test_neighbours_add_what_is_like_the_history(tmp_path: Path) -> None:
    """Each interaction adds its product's row; what was done twice counts twice."""
    found = scorer(tmp_path, neighbours=2.0).scores(
        QUERY, did((1, VIEW, 3), (2, VIEW, 2), (1, CLICK, 1)), NOW
    )
    assert found.tolist() == (ALONE + 2 * np.array([0, 0.5, 1.0, 0, 0.5])).tolist()


def test_older_interactions_count_less_and_the_oldest_not_at_all(tmp_path: Path) -> None:
    """Each place further back by the decay's factor, and only the newest ``history``."""
    whole = did((3, VIEW, 9), (2, VIEW, 2), (1, VIEW, 1))
    found = scorer(tmp_path, neighbours=1.0, decay=0.5, history=2).scores(QUERY, whole, NOW)
    assert found.tolist() == (ALONE + np.array([0, 0.25, 0.5, 0, 0.25])).tolist()


def test_buying_again_adds_by_how_often_and_how_lately(tmp_path: Path) -> None:
    """Only purchases count; a bound is reached by what equals it; the future counts as now."""
    whole = did(
        (1, PURCHASE, 30), (4, VIEW, 9), (1, PURCHASE, 7), (2, PURCHASE, 6), (3, PURCHASE, -5)
    )
    found = scorer(tmp_path, repeat=2.0).scores(QUERY, whole, NOW)
    assert found.tolist() == (ALONE + 2 * np.array([0, 1.5, 1, 1, 0])).tolist()


def test_buying_again_and_for_the_first_time_have_a_part_of_the_product(tmp_path: Path) -> None:
    """Each product has one of the two; likeness is of no account for what was bought."""
    scorer(tmp_path, neighbours=1.0, repeat=2.0)
    again, first = (numbers(np.array([0, *each])) for each in ([4, 5, 6, 7], [1, 2, 3, 4]))
    write_json(tmp_path / "repeat.json", {**TABLE, "again": again, "first": first})
    seal(tmp_path)
    blended = Scorer(load_bundle(tmp_path))
    found = blended.scores(QUERY, did((1, PURCHASE, 9), (2, VIEW, 1)), NOW)
    gains = np.array([2 * (4 + 0.5), 2 * 2 + 0.5, 2 * 3, 2 * 4 + 0.25])
    assert found[1:].tolist() == (ALONE[1:] + gains).tolist()


@pytest.mark.parametrize("repeat", [0.0, 2.0], ids=["without a table", "with a table"])
def test_what_an_event_adds_is_what_scores_lack_without_it(tmp_path: Path, repeat: float) -> None:
    """Of every product by each event; nothing of what was bought, where a table judges that."""
    blended = scorer(tmp_path, neighbours=2.0, repeat=repeat)
    whole, rows = did((1, PURCHASE, 9), (2, VIEW, 1)), np.array([4, 1, 2, 3])
    taken_apart = blended.company(whole.items, whole.actions, rows)
    added = blended.scores(QUERY, whole, NOW) - ALONE
    bought = 1.0 if repeat else 0.0
    assert taken_apart.sum(axis=1).tolist() == (added - [0, bought, 0, 0, 0])[rows].tolist()
    assert taken_apart.tolist() == [[0.5, 0], [0, 1 - bought], [1, 0], [0, 0]]


def test_what_is_masked_is_never_among_the_best() -> None:
    """Where nobody buys a thing twice; it counts as masked by whatever a model says."""
    table = RepeatTable((), (), ((MASKED,),))
    bought, gains = repeat_scores(table, *did((4, PURCHASE, 1)), NOW)
    scores = (ALONE * 1000).astype(np.float32)
    scores[bought] += gains
    assert best(scores[1:], 3).tolist() == [2, 1, 0]


def test_what_was_searched_or_only_shown_has_no_part_in_a_blend(tmp_path: Path) -> None:
    """Searches stand in a history as indices behind the vocabulary's."""
    with_search = did((1, VIEW, 3), (5, SEARCH, 2), (2, IMPRESSION, 2), (1, PURCHASE, 1))
    without = did((1, VIEW, 3), (1, PURCHASE, 1))
    blended = scorer(tmp_path, neighbours=1.0, decay=0.5, repeat=1.0)
    found, expected = (blended.scores(QUERY, each, NOW) for each in (with_search, without))
    assert found.tolist() == expected.tolist()


def test_nothing_done_adds_nothing(tmp_path: Path) -> None:
    """An empty history is no error."""
    nothing = known([], load_bundle(make_bundle(tmp_path / "plain", VECTORS)).vocabulary)
    found = scorer(tmp_path / "blended", neighbours=1.0, repeat=1.0).scores(QUERY, nothing, NOW)
    assert found.tolist() == ALONE.tolist()


def test_a_batch_is_each_of_its_shoppers(tmp_path: Path) -> None:
    """The same numbers, whoever else is asked for at the same time."""
    blended = scorer(tmp_path, neighbours=0.5, repeat=0.25)
    shoppers = [did((1, PURCHASE, 3), (2, VIEW, 2)), did((3, PURCHASE, 20))]
    queries, nows = np.stack([QUERY, -QUERY]), [NOW, NOW - 9 * DAY]
    batch = blended.scores_batch(queries, shoppers, nows)
    for row, each in enumerate(shoppers):
        assert np.allclose(batch[row], blended.scores(queries[row], each, nows[row]), atol=1e-6)


def test_the_repeat_table_names_each_product_once() -> None:
    """However often it was bought."""
    table = RepeatTable(counts=(), recency_days=(), score=((7.0,),))
    items, scores = repeat_scores(table, *did((2, PURCHASE, 2), (2, PURCHASE, 1)), NOW)
    assert (items.tolist(), scores.tolist()) == ([2], [7.0])


@pytest.mark.parametrize("count", [1, 3, 5, 9])
def test_best_is_sorting_with_ties_by_index(count: int) -> None:
    """Minus infinity is never among them."""
    scores = np.array([2.0, -np.inf, 5.0, 2.0, 5.0, 1.0, -np.inf], np.float32)
    assert best(scores, count).tolist() == [2, 4, 0, 3, 5][:count]
