"""What the bench of cold products learns from and counts, on a few lines made by hand."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from model_export.dataset import HELD_OUT, TRAIN, VALIDATION, Content
from tests.bench.accuracy.cold_products import Cases, category_blocks
from tests.bench.accuracy.office import (
    ITEMS,
    TEST,
    VALID,
    Case,
    Office,
    joined,
    prepared,
    read,
    validating,
    withheld,
)

VALID_LINES = [Case("ana", (0, 1), 2), Case("ana", (0, 1, 2), 3), Case("ben", (4,), 5)]
TEST_LINES = [Case("ben", (4, 5), 0), Case("ben", (4, 5, 0), 1), Case("cem", (3, 2), 4)]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """Six products, three users."""
    items = {
        str(n): {"title": f"pen {n}", "description": "", "brand": "abc"[n % 3], "categories": ""}
        for n in range(6)
    }
    (tmp_path / ITEMS).write_bytes(gzip.compress(json.dumps(items).encode()))
    for name, cases in ((VALID, VALID_LINES), (TEST, TEST_LINES)):
        with gzip.open(tmp_path / name, "wt", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["user_id", "history_item_id", "item_id"])
            lines.writerows([case.user, str(list(case.history)), case.target] for case in cases)
    return read(tmp_path)


def content() -> Content:
    """Brands alone."""
    return Content(["a", "b", "c"], np.array([[n % 3 + 1] for n in range(6)], np.int32))


def test_lines_are_read_as_they_are(office: Office) -> None:
    """Products, histories and targets."""
    assert (office.valid, office.test) == (VALID_LINES, TEST_LINES)
    assert [each.brand for each in office.items] == list("abcabc")


def test_nothing_withheld_and_nothing_later_trains(office: Office) -> None:
    """Before the first test target only; who has none validates by the last purchase."""
    out = np.arange(6) == 1
    data = prepared(office, content(), out)
    found = {
        part: [
            (data.ids.users[user], int(item))
            for user, item, its in zip(data.users, data.items, data.parts, strict=True)
            if its == part
        ]
        for part in (TRAIN, VALIDATION, HELD_OUT)
    }
    assert found[TRAIN] == [("ana", 0), ("ana", 2), ("ben", 4), ("ben", 5), ("cem", 3), ("cem", 2)]
    assert found[VALIDATION] == [("ana", 3)]
    assert found[HELD_OUT] == [("ana", 1)]
    assert validating(office) == [VALID_LINES[1]]


@pytest.mark.parametrize(
    ("older", "newer", "whole"),
    [
        ((1, 2, 3), (2, 3, 4), (1, 2, 3, 4)),
        ((1, 2), (3, 4), (1, 2, 3, 4)),
        ((), (3,), (3,)),
        ((1, 1), (1, 1, 1), (1, 1, 1)),
    ],
)
def test_histories_that_overlap(
    older: tuple[int, ...], newer: tuple[int, ...], whole: tuple[int, ...]
) -> None:
    """What both files tell counts once."""
    assert joined(older, newer) == whole


def test_a_tenth_is_withheld_by_seed(office: Office) -> None:
    """The same again for the same seed."""
    many = office._replace(items=list(office.items) * 20)
    one, again, other = (withheld(many, 0.1, seed) for seed in (1, 1, 2))
    assert one.sum() == 12
    assert (one == again).all()
    assert (one != other).any()


def test_popularity_within_the_categories_of_a_history(office: Office) -> None:
    """Its own categories first, by sales; a new product sells as its category does on average."""
    out = np.zeros(6, bool)
    data = prepared(office, content(), out)
    categories = np.array([1, 2, 3, 1, 2, 3])
    cases = Cases([Case("dan", (2,), 5)])
    (scores,) = category_blocks(categories, data, cases)
    # 0 and 3 of category 1, 1 and 4 of category 2, 2 and 5 of category 3
    assert scores[0, 1:].argsort()[::-1][:2].tolist() == [2, 5]
    sold = np.bincount(data.items[data.parts == TRAIN], minlength=6)
    assert scores[0, 3] == pytest.approx(sold[2], rel=1e-5)
    assert cases.hits(iter([scores])).tolist() == [True]
    assert np.isneginf(scores[0, 3])
