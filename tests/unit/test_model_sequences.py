"""What training learns from: every basket, foretold from what came before it and no more."""

from __future__ import annotations

import numpy as np
import pytest

from model_export.dataset import TRAIN, Prepared, vocabulary_index
from model_export.training.sequences import (
    Batch,
    Histories,
    batch_of,
    histories,
    packed,
    shuffled,
    windows,
)
from services.shared.model_input import CART, IMPRESSION, PURCHASE, SEARCH, TARGETS, VIEW
from tests.model_parts import Row, by_time, leave_one_out, rounds

LENGTH = 6


def random() -> np.random.Generator:
    return np.random.default_rng(3)


def training_part(data: Prepared) -> Histories:
    known = np.arange(len(data.ids.items), dtype=np.int32)
    return histories(data, vocabulary_index(data.ids, known), part=TRAIN)


def batch(
    past: Histories, *found: tuple[int, int, int], length: int = LENGTH, most: int = 32
) -> Batch:
    """The windows, packed as chance wants it, as one batch."""
    rows = packed(past, np.array(found), max_length=length, random=random())
    return batch_of(past, rows, 0, len(rows.items), most_targets=most)


def baskets_of_two() -> Prepared:
    """Ana's orders of two lines each, on days 0 to 9; the last days do not train."""
    rows: list[Row] = [("ana", f"i{day}{line}", day) for day in range(10) for line in "ab"]
    return by_time(rows)


def test_held_out_interactions_are_never_seen() -> None:
    """Neither as input nor as target."""
    past = training_part(leave_one_out({"ana": "abcde", "ben": "edcba"}))
    assert len(past.items) == 6  # three of five for each


def test_windows_ask_every_row_once() -> None:
    """Whatever the offset, each row of each user is in the asked part of one window."""
    past = training_part(by_time(rounds(users=7, days=30)))
    asked = [
        row
        for _, stop, asked_from in windows(past, max_length=LENGTH, random=random()).tolist()
        for row in range(asked_from, stop)
    ]
    assert sorted(asked) == list(range(len(past.items)))


def test_windows_stay_within_a_user_and_the_length() -> None:
    """No window holds two users, nor more rows than the model sees."""
    past = training_part(by_time(rounds(users=7, days=30)))
    for start, stop, asked_from in windows(past, max_length=LENGTH, random=random()).tolist():
        assert 0 < stop - start <= LENGTH
        assert start <= asked_from < stop
        assert len(set(past.users[start:stop].tolist())) == 1


def test_a_history_that_fits_is_one_window() -> None:
    """Cutting it would forget for nothing."""
    past = training_part(leave_one_out({"ana": "abcdexx", "ben": "abxx"}))
    assert windows(past, max_length=5, random=random()).tolist() == [[0, 5, 0], [5, 7, 5]]


def test_packing_keeps_each_history_whole_and_apart() -> None:
    """Every window stands in one row, in order, under a segment of its own."""
    past = training_part(by_time(rounds(users=9, days=12)))
    found = windows(past, max_length=LENGTH, random=random())
    rows = packed(past, found, max_length=2 * LENGTH, random=random())
    stood = [
        items[segments == segment].tolist()
        for items, segments in zip(rows.items, rows.segments, strict=True)
        for segment in set(segments.tolist()) - {-1}
    ]
    wanted = [past.items[start:stop].tolist() for start, stop, _ in found.tolist()]
    assert sorted(stood) == sorted(wanted)
    assert ((rows.items == 0) == (rows.segments == -1)).all()
    assert len(rows.items) <= len(found) * 2 / 3


def test_gaps_begin_anew_with_each_window() -> None:
    """What lies before a window must not be seen, not even how long ago it was."""
    past = training_part(leave_one_out({"ana": "abcdexx"}))
    rows = packed(past, np.array([(2, 5, 2)]), max_length=3, random=random())
    assert rows.gaps.tolist() == [[0, 17, 17]]  # a day is below 2^17 seconds


def test_target_is_the_next_basket_and_nothing_of_this_one() -> None:
    """At the end of each order the lines of the following one are asked, weighing 1 together."""
    past = training_part(baskets_of_two())
    found = batch(past, (0, 4, 0))  # two whole orders
    assert found.items[0].tolist() == [*past.items[:4].tolist(), 0, 0]
    assert found.places[0].tolist() == [1, 3]  # the last line of each order
    assert found.states.tolist() == [0, 1]
    assert found.asked.tolist() == [0, 0, 1, 1]
    assert found.targets.tolist() == past.items[2:6].tolist()
    assert found.weights.tolist() == [0.5] * 4


def test_an_order_cut_by_the_window_is_not_asked() -> None:
    """From half an order its other half must not be foretold."""
    found = batch(training_part(baskets_of_two()), (0, 3, 0))
    assert found.places[0].tolist() == [1]


def test_the_last_basket_of_a_user_has_no_target() -> None:
    """What follows it in the table is another user's."""
    past = training_part(leave_one_out({"ana": "abxx", "ben": "cdxx"}))
    found = batch(past, (0, 2, 0), (2, 4, 2), length=4)
    assert sorted(found.targets.tolist()) == sorted(past.items[[1, 3]].tolist())
    assert batch(past, (0, 2, 1), length=4).targets.tolist() == []


def test_of_a_large_basket_some_are_drawn() -> None:
    """An order of forty lines teaches from three of them, each once."""
    rows: list[Row] = [("ana", f"i{n:02}", 1 if n else 0) for n in range(41)]
    past = training_part(by_time([*rows, ("ana", "x", 7), ("ana", "x", 9)]))
    found = batch(past, (0, 1, 0), most=3)
    assert len(set(found.targets.tolist())) == 3
    assert found.weights.sum().item() == pytest.approx(1)


def test_each_target_is_asked_by_its_action() -> None:
    """What was looked at and what was bought next are two questions to one state."""
    rows: list[Row] = [("ana", "a", 0, VIEW), ("ana", "b", 1, CART), ("ana", "c", 1, PURCHASE)]
    past = training_part(by_time([*rows, ("ana", "x", 7), ("ana", "x", 9)]))
    found = batch(past, (0, 1, 0))
    assert found.states.tolist() == [0, 0]
    assert [TARGETS[each] for each in found.wanted.tolist()] == [CART, PURCHASE]
    assert found.asked.tolist() == [0, 1]


def test_searches_and_impressions_are_read_and_not_foretold() -> None:
    """They say what somebody looks for; nobody is to be shown a search."""
    rows: list[Row] = [
        ("ana", "a", 0, VIEW),
        ("ana", "b", 1, IMPRESSION),
        ("ana", "c", 2, SEARCH),
        ("ana", "d", 3, VIEW),
    ]
    past = training_part(by_time([*rows, ("ana", "x", 7), ("ana", "x", 9)]))
    found = batch(past, (0, 4, 0))
    assert found.places.tolist() == [[2]]
    assert found.targets.tolist() == past.items[[3]].tolist()


def test_a_part_of_the_rows_is_the_batch_of_its_share() -> None:
    """Two processes that take half of the rows each learn all pairs between them."""
    past = training_part(by_time(rounds(users=9, days=12)))
    found = windows(past, max_length=LENGTH, random=random())
    rows = packed(past, found, max_length=LENGTH, random=random())
    whole = batch_of(past, rows, 0, 5, most_targets=32)
    halves = [batch_of(past, rows, *share, most_targets=32) for share in ((0, 2), (2, 5))]
    pairs = [(part.targets.tolist(), part.weights.tolist()) for part in halves]
    assert [*pairs[0][0], *pairs[1][0]] == whole.targets.tolist()
    assert [*pairs[0][1], *pairs[1][1]] == whole.weights.tolist()


def test_shuffling_moves_lines_within_their_basket_only() -> None:
    """A till's order of lines must not be learned, the order of orders must stay."""
    past = training_part(baskets_of_two())
    moved = shuffled(past, random())
    assert moved.items.tolist() != past.items.tolist()
    for first, stop in zip(past.starts[:-1], past.starts[1:], strict=True):
        assert sorted(moved.items[first:stop]) == sorted(past.items[first:stop])
