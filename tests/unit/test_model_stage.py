"""The stage as a whole: what a prepared folder holds, what it does not hang on, what is refused."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from model_export import prepared_folder
from model_export.dataset import HELD_OUT, TRAIN, VALIDATION
from model_export.errors import DataRefused
from model_export.preparation.catalogue import read_catalogue
from model_export.preparation.rows import LINKED, UNLINKED, Feed, PassedOver
from model_export.preparation.splits import ByTime, LeaveOneOut
from model_export.preparation.stage import Wanted, prepare
from services.shared.content_input import FeatureVocabulary, ProductContent, feature_names
from services.shared.model_input import IMPRESSION, SEARCH
from tests.preparation_parts import (
    DAY,
    HOUR,
    FailingEngine,
    feed_of,
    few,
    files_in,
    kept_things,
    month,
    row,
)


def test_a_prepared_folder_holds_all_there_is(tmp_path: Path) -> None:
    """Rows by user and time with their parts; queries behind the items; counts that add up."""
    source = prepare(feed_of(month()), Wanted(), tmp_path / "data")
    data = prepared_folder.load(tmp_path / "data")
    assert data.source == source
    assert (source.users, source.items, source.queries, source.sessions) == (12, 8, 1, 12 * 50)
    assert source.rows_read == source.rows_kept + sum(source.left_out.values()) == 12 * 50 * 3
    assert source.actions == {"view": 600, "purchase": 600, "search": 600}
    searches = data.actions == SEARCH
    assert set(data.items[searches].tolist()) == {8}
    assert data.ids.queries == ["blue mug"]
    for user in range(12):
        assert (np.diff(data.at[data.users == user]) >= 0).all()
    assert data.at[data.parts == TRAIN].max() < source.validation_from
    assert data.at[data.parts == VALIDATION].max() < source.held_out_from
    assert (data.at[data.parts == HELD_OUT] >= source.held_out_from).all()


def test_nothing_hangs_on_how_rows_were_parted(tmp_path: Path) -> None:
    """One part or many, one batch or many, few rows in memory or all: the same files."""
    rows = [*month(), row(0, "mug", price=0.0), row(0, "i1", IMPRESSION), *few(), *few()]
    prepare(feed_of(rows), Wanted(), tmp_path / "one")
    batches = [rows[n : n + 97] for n in range(0, len(rows), 97)]
    prepare(feed_of(*batches), Wanted(part_rows=150), tmp_path / "many")
    assert files_in(tmp_path / "one") == files_in(tmp_path / "many")
    left_out = prepared_folder.load(tmp_path / "one").source.left_out
    assert left_out == {"price_impossible": 1, "same_moment": 4}


def test_leave_one_out_holds_products_out(tmp_path: Path) -> None:
    """Never a search or an impression; who has fewer than three products trains only."""
    rows = [
        *(row(n * HOUR, item) for n, item in enumerate("abc")),
        row(3 * HOUR, "words", SEARCH),
        row(4 * HOUR, "d"),
        row(5 * HOUR, "e", IMPRESSION),
        *(row(n * HOUR, item, user_id="ben") for n, item in enumerate("ab")),
    ]
    prepare(feed_of(rows), Wanted(split=LeaveOneOut()), tmp_path / "data")
    data = prepared_folder.load(tmp_path / "data")
    held = [TRAIN, TRAIN, VALIDATION, VALIDATION, HELD_OUT, HELD_OUT]
    assert data.parts.tolist() == [*held, TRAIN, TRAIN]


def test_visitors_become_their_users(tmp_path: Path) -> None:
    """What was done before signing in is the user's; after signing out it is nobody's."""
    visitor: dict[str, Any] = {"user_id": "v:1"}
    rows = [
        row(0, "a", **visitor),
        row(1 * HOUR, "u:ana", LINKED, **visitor),
        row(2 * HOUR, "b", **visitor),
        row(3 * HOUR, "u:ana", UNLINKED, **visitor),
        row(4 * HOUR, "c", **visitor),
        row(5 * HOUR, "u:ben", LINKED, **visitor),
        row(6 * HOUR, "d", **visitor),
        *(row(n * HOUR, "e", user_id="v:2") for n in range(3)),
    ]
    wanted = Wanted(split=LeaveOneOut(), part_rows=2)
    source = prepare(feed_of(rows), wanted, tmp_path / "data")
    data = prepared_folder.load(tmp_path / "data")
    assert data.ids.users == ["u:ana", "u:ben", "v:1", "v:2"]
    assert "".join(kept_things(tmp_path / "data")) == "ab" + "d" + "c" + "eee"
    assert source.left_out == {"sign_in_or_out": 3}


def test_listed_products_are_items_that_nobody_touched(tmp_path: Path) -> None:
    """With features of their own, from the list first and from rows where it is silent."""
    lines = [
        '{"item_id": "new", "title": "Red mug", "category": ["Home", "Mugs"], "price": 9.0}',
        '{"item_id": "mug", "brand": "Acme"}',
    ]
    (tmp_path / "items.jsonl").write_text("\n".join(lines))
    said = [{**each, "brand": "Other", "category": ["Home"], "price": 12.0} for each in few()]
    wanted = Wanted(split=LeaveOneOut(), listed=read_catalogue(tmp_path / "items.jsonl"))
    source = prepare(feed_of(said), wanted, tmp_path / "data")
    data = prepared_folder.load(tmp_path / "data")
    assert data.ids.items == ["cup", "mug", "new", "pen"]
    assert (source.untouched, source.catalogue_size) == (1, 4)
    assert data.content is not None
    names = ["", *data.content.names]
    told = [{names[code] for code in codes if code} for codes in data.content.features]
    price = f"price:{len(data.content.price_bounds)}"
    assert told[1] == {"brand:Acme", "category:Home", price}
    assert {"category:Home", "category:Home > Mugs"} <= told[2]
    served = ProductContent(("Home", "Mugs"), "Unheard of", "", 9.0)
    vocabulary = FeatureVocabulary(data.content.names)
    row_of_new = data.content.features[2]
    numbers = vocabulary.numbers(feature_names(served, data.content.price_bounds))
    assert numbers == row_of_new[row_of_new > 0].tolist()


def test_another_list_of_products_is_other_data(tmp_path: Path) -> None:
    """Of the same interactions and as many products: one word of a title makes the difference."""
    sums = []
    for title in ("Red mug", "Red mug", "Tea cup"):
        (tmp_path / "items.jsonl").write_text(f'{{"item_id": "mug", "title": "{title}"}}\n')
        wanted = Wanted(split=LeaveOneOut(), listed=read_catalogue(tmp_path / "items.jsonl"))
        sums.append(prepare(feed_of(few()), wanted, tmp_path / "data").sha256)
    sums.append(prepare(feed_of(few()), Wanted(split=LeaveOneOut()), tmp_path / "data").sha256)
    assert sums[0] == sums[1]
    assert len(set(sums)) == 3
    assert sums[3] == "00" * 32


def test_groups_of_users(tmp_path: Path) -> None:
    """Where the source knows them."""
    groups = pl.DataFrame({"user_id": ["u03", "nobody"], "group": ["65+", "18-24"]})
    source = prepare(feed_of(month(), groups=groups), Wanted(), tmp_path / "data")
    assert prepared_folder.load(tmp_path / "data").ids.groups == [None] * 3 + ["65+"] + [None] * 8
    assert (source.grouped, source.grouped_elsewhere) == (1, 1)
    told = (tmp_path / "data/report.md").read_text()
    assert "| users whose group is known | 1 |\n" in told
    assert "| users with a group, of whom no row is kept | 1 |\n" in told


def test_the_report_says_what_was_lost_and_why(tmp_path: Path) -> None:
    """In numbers, with the reason in words; the same file lies in the folder."""
    rows = [*month(), *(row(n, "i1", user_id="bot") for n in range(60)), row(0, "i1", price=-1.0)]
    prepare(feed_of(rows), Wanted(), tmp_path / "data")
    told = (tmp_path / "data/report.md").read_text()
    assert "1,800 of 1,861 rows are kept." in told
    assert "| 60 | 3.22% | `bot_by_rate` | of a user who looks faster than a person can |" in told
    assert "| 1 | 0.05% | `price_impossible` |" in told
    assert "1 users were left out as programs" in told
    assert "| validates from | 2024-" in told


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row(0, None)], "no row is left to prepare; left out were 1 incomplete"),
        ([row(0, item, user_id=item) for item in "abc"], "none of its 3 users did more than one"),
        ([row(n * DAY) for n in range(9)], "all rows are about one item"),
        ([row(n * HOUR, f"i{n}") for n in range(9)], "nothing is to train; the data spans 0.3"),
        ([row(0), row(-(2**52)), row(2**60)], "2 of 3 timestamps are before 1970 or after"),
    ],
)
def test_what_nothing_can_be_learned_of(tmp_path: Path, rows: list[Any], says: str) -> None:
    """It is said why, and no folder is left."""
    with pytest.raises(DataRefused, match=says):
        prepare(feed_of(rows), Wanted(), tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_a_catalogue_too_small(tmp_path: Path) -> None:
    """A size that cannot be is refused, not quietly raised."""
    with pytest.raises(DataRefused, match="a catalogue of 2 products cannot hold the 8 in it"):
        prepare(feed_of(month()), Wanted(catalogue_size=2), tmp_path / "data")


def test_a_source_that_breaks_off(tmp_path: Path) -> None:
    """The folder of before stays as it was, whatever happens to the new one, and nothing else."""
    prepare(feed_of(month()), Wanted(), tmp_path / "data")
    before = files_in(tmp_path)

    def batches(_: PassedOver) -> Any:
        yield pl.DataFrame(month())
        raise DataRefused("shop.csv cannot be read: the file is cut off")

    with pytest.raises(DataRefused, match="cut off"):
        prepare(Feed("hand", "00" * 32, 9, batches), Wanted(), tmp_path / "data")
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    ("error", "raised", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DataRefused, "its disk is full. What"),
        (OSError(errno.EIO, "Input/output error"), DataRefused, "Input/output error. What was"),
        (KeyboardInterrupt("now"), KeyboardInterrupt, "now"),
    ],
)
def test_a_full_disk_and_an_interruption(
    tmp_path: Path, error: BaseException, raised: type[BaseException], says: str
) -> None:
    """Half a folder is never seen; the former one is untouched."""
    prepare(feed_of(few()), Wanted(split=LeaveOneOut()), tmp_path / "data")
    before = files_in(tmp_path)
    with pytest.raises(raised, match=says):
        prepare(feed_of(month()), Wanted(engine=FailingEngine(error)), tmp_path / "data")
    assert files_in(tmp_path) == before


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    """Its half folder goes; a former folder that it had moved aside comes back."""
    (tmp_path / ".data.writing-1234").mkdir()
    (tmp_path / ".data.writing-1234" / "half").write_text("x")
    prepare(feed_of(few()), Wanted(split=LeaveOneOut()), tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    (tmp_path / "data").rename(tmp_path / ".data.old-1234")
    with pytest.raises(DataRefused, match="all rows are about one item"):
        prepare(feed_of([row(0), row(1)]), Wanted(), tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    """Whoever mistypes a name loses nothing."""
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/dear.txt").write_text("Dear all")
    with pytest.raises(DataRefused, match="is there and is no prepared folder"):
        prepare(feed_of(month()), Wanted(), tmp_path / "letters")
    assert (tmp_path / "letters/dear.txt").read_text() == "Dear all"


def test_dates_without_times_are_said(tmp_path: Path) -> None:
    """The rule on pace is off then, and the report says so."""
    rows = [row(day * DAY, f"i{n}") for day in range(40) for n in range(60)]
    source = prepare(feed_of(rows), Wanted(split=ByTime(3, 2)), tmp_path / "data")
    assert source.rows_kept == len(rows)
    assert "nobody's pace can be told" in source.notes[0]
