"""What training learns from: every basket, foretold from what came before it and no more."""

from __future__ import annotations

import numpy as np
import pytest

from model_export.dataset import TRAIN, Prepared
from model_export.training.sequences import (
    Histories,
    batch_of,
    epoch,
    histories,
    shuffled,
    vocabulary_codes,
    windows,
)
from tests.model_parts import Row, by_time, leave_one_out, rounds

LENGTH = 6


def random() -> np.random.Generator:
    return np.random.default_rng(3)


def training_part(data: Prepared, least: int = 1) -> tuple[Histories, np.ndarray]:
    known = vocabulary_codes(data, part=TRAIN, least=least)
    return histories(data, known, part=TRAIN), known


def baskets_of_two() -> Prepared:
    """Ana's orders of two lines each, on days 0 to 9; the last days do not train."""
    rows: list[Row] = [("ana", f"i{day}{line}", day) for day in range(10) for line in "ab"]
    return by_time(rows)


def test_items_bought_too_seldom_have_no_vector() -> None:
    """The vocabulary counts the training part only."""
    data = leave_one_out({"ana": "aabxy", "ben": "abbyx"})
    codes = vocabulary_codes(data, part=TRAIN, least=2)
    assert [data.ids.items[code] for code in codes] == ["a", "b"]


def test_held_out_interactions_are_never_seen() -> None:
    """Neither as input nor as target."""
    data = leave_one_out({"ana": "abcde", "ben": "edcba"})
    past, _ = training_part(data)
    assert len(past.items) == 6  # three of five for each


def test_windows_ask_every_row_once() -> None:
    """Whatever the offset, each row of each user is in the asked part of one window."""
    past, _ = training_part(by_time(rounds(users=7, days=30)))
    asked = [
        row
        for _, stop, asked_from in windows(past, max_length=LENGTH, random=random())
        for row in range(asked_from, stop)
    ]
    assert sorted(asked) == list(range(len(past.items)))


def test_windows_stay_within_a_user_and_the_length() -> None:
    """No window holds two users, nor more rows than the model sees."""
    past, _ = training_part(by_time(rounds(users=7, days=30)))
    for start, stop, asked_from in windows(past, max_length=LENGTH, random=random()):
        assert 0 < stop - start <= LENGTH
        assert start <= asked_from < stop
        assert len(set(past.users[start:stop].tolist())) == 1


def test_target_is_the_next_basket_and_nothing_of_this_one() -> None:
    """At the end of each order the lines of the following one are asked, weighing 1 together."""
    past, _ = training_part(baskets_of_two())
    window = (0, 4, 0)  # two whole orders
    batch = batch_of(past, [window], max_length=LENGTH, most_targets=32, random=random())
    assert batch is not None
    assert batch.items[0].tolist() == [0, 0, *past.items[:4].tolist()]
    assert batch.positions[0].tolist() == [3, 5]  # the last line of each order
    assert batch.asked.tolist() == [0, 0, 1, 1]
    assert batch.targets.tolist() == past.items[2:6].tolist()
    assert batch.weights.tolist() == [0.5] * 4


def test_an_order_cut_by_the_window_is_not_asked() -> None:
    """From half an order its other half must not be foretold."""
    past, _ = training_part(baskets_of_two())
    batch = batch_of(past, [(0, 3, 0)], max_length=LENGTH, most_targets=32, random=random())
    assert batch is not None
    assert batch.positions[0].tolist() == [LENGTH - 2]


def test_the_last_basket_of_a_user_has_no_target() -> None:
    """What follows it in the table is another user's."""
    past, _ = training_part(leave_one_out({"ana": "abxx", "ben": "cdxx"}))
    batch = batch_of(past, [(0, 2, 0), (2, 4, 2)], max_length=4, most_targets=32, random=random())
    assert batch is not None
    assert batch.targets.tolist() == past.items[[1, 3]].tolist()
    nothing = batch_of(past, [(0, 2, 1)], max_length=4, most_targets=32, random=random())
    assert nothing is None


def test_of_a_large_basket_some_are_drawn() -> None:
    """An order of forty lines teaches from three of them, each once."""
    rows: list[Row] = [("ana", f"i{n:02}", 1 if n else 0) for n in range(41)]
    past, _ = training_part(by_time([*rows, ("ana", "x", 7), ("ana", "x", 9)]))
    batch = batch_of(past, [(0, 1, 0)], max_length=LENGTH, most_targets=3, random=random())
    assert batch is not None
    assert len(set(batch.targets.tolist())) == 3
    assert batch.weights.sum().item() == pytest.approx(1)


def test_an_epoch_is_all_windows_in_an_order_of_its_seed() -> None:
    """The same seed gives the same groups; another one another order."""
    past, _ = training_part(by_time(rounds(users=9)))
    one, same = (epoch(past, max_length=LENGTH, size=4, random=random()) for _ in range(2))
    other = epoch(past, max_length=LENGTH, size=4, random=np.random.default_rng(4))
    assert one == same
    assert one != other
    assert all(len(group) == 4 for group in one[:-1])


def test_shuffling_moves_lines_within_their_basket_only() -> None:
    """A till's order of lines must not be learned, the order of orders must stay."""
    past, _ = training_part(baskets_of_two())
    moved = shuffled(past, random())
    assert moved.items.tolist() != past.items.tolist()
    for first, stop in zip(past.starts[:-1], past.starts[1:], strict=True):
        assert sorted(moved.items[first:stop]) == sorted(past.items[first:stop])
