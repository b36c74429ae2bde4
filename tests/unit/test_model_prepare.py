"""From rows to a prepared data set: numbers, one order, parts that do not overlap."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from model_export import prepared_folder
from model_export.dataset import DAY, HELD_OUT, TRAIN, VALIDATION, Prepared
from model_export.errors import DataRefused
from model_export.evaluation.cases import cases_of
from model_export.preparation.prepare import prepare_by_time
from services.shared.model_input import VIEW
from tests.model_parts import Row, by_time, leave_one_out, read

DAYS: list[Row] = [
    ("ben", "pen", 7),
    ("ana", "mug", 0),
    ("ana", "pen", 6),
    ("ana", "mug", 8),
    ("ben", "cup", 9),
]


def items_of(data: Prepared, part: int) -> list[str]:
    return [data.ids.items[code] for code in data.items[data.parts == part]]


def test_by_time_the_newest_days_are_held_out() -> None:
    """The last two days are held out, the day before validates, what is older trains."""
    data = by_time(DAYS, holdout_days=2, validation_days=1)
    assert items_of(data, TRAIN) == ["mug", "pen"]
    assert items_of(data, VALIDATION) == ["pen"]
    assert items_of(data, HELD_OUT) == ["mug", "cup"]


def test_nothing_of_the_future_trains() -> None:
    """Every row that trains is older than every row that validates, and so on."""
    rows: list[Row] = [("ana", f"i{day}", day) for day in range(20)]
    data = by_time(rows, holdout_days=5, validation_days=3)
    newest = [int(data.at[data.parts == part].max()) for part in (TRAIN, VALIDATION)]
    oldest = [int(data.at[data.parts == part].min()) for part in (VALIDATION, HELD_OUT)]
    assert newest[0] < data.source.validation_from <= oldest[0]
    assert newest[1] < data.source.held_out_from <= oldest[1]


def test_leave_one_out_goes_by_place() -> None:
    """Each user's last item is held out, the last but one validates."""
    data = leave_one_out({"ana": "abcd", "ben": "xyz"})
    assert items_of(data, TRAIN) == ["a", "b", "x"]
    assert items_of(data, VALIDATION) == ["c", "y"]
    assert items_of(data, HELD_OUT) == ["d", "z"]


def test_rows_are_in_one_order_whatever_the_input_had() -> None:
    """By user and time; what happened at one moment stays as the input had it."""
    data = by_time([*DAYS, ("ana", "cup", 0)])
    assert data.users.tolist() == sorted(data.users.tolist())
    for user in range(len(data.ids.users)):
        assert (np.diff(data.at[data.users == user]) >= 0).all()
    first_day = data.items[(data.users == 0) & (data.at == 0)]
    assert [data.ids.items[code] for code in first_day] == ["mug", "cup"]


@pytest.mark.parametrize(
    ("holdout", "validation", "says"),
    [(30, 1, "nothing is to train"), (2, 30, "nothing is to train"), (1, 1, "to validate")],
)
def test_a_split_with_an_empty_part(holdout: int, validation: int, says: str) -> None:
    """It is refused with how many days there are and how many were asked for."""
    rows: list[Row] = [("ana", "mug", 0), ("ana", "pen", 9)]
    with pytest.raises(DataRefused, match=says) as caught:
        prepare_by_time(read(rows), holdout_days=holdout, validation_days=validation)
    assert "the data spans 9.0 days" in str(caught.value)


def test_a_catalogue_smaller_than_the_data() -> None:
    """A size that cannot be is refused, not quietly raised."""
    with pytest.raises(DataRefused, match="a catalogue of 2 products cannot hold the 3"):
        prepare_by_time(read(DAYS), holdout_days=2, validation_days=1, catalogue_size=2)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    """A prepared folder holds all there is."""
    data = by_time(DAYS)
    prepared_folder.save(data, tmp_path / "data")
    again = prepared_folder.load(tmp_path / "data")
    for field in fields(Prepared):
        one, other = getattr(data, field.name), getattr(again, field.name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


def test_a_folder_that_is_no_prepared_data(tmp_path: Path) -> None:
    """A missing file says how to make it; a damaged one says which folder."""
    with pytest.raises(DataRefused, match="make the folder with 'python -m model_export prepare'"):
        prepared_folder.load(tmp_path)
    prepared_folder.save(by_time(DAYS), tmp_path)
    (tmp_path / "interactions" / "00000.parquet").write_bytes(b"PAR1 damaged")
    with pytest.raises(DataRefused, match=r"00000.parquet is no shard of a prepared data set"):
        prepared_folder.load(tmp_path)


def test_a_case_is_a_later_basket_with_all_before_it() -> None:
    """Lines of one moment are one basket; what was bought before is told from what is new."""
    rows: list[Row] = [
        ("ana", "mug", 0),
        ("ana", "pen", 3),
        ("ana", "mug", 8),
        ("ana", "cup", 8),
        ("ana", "cup", 9),
        ("ben", "cup", 9),  # nothing is known of ben before
        ("cat", "mug", 6),
        ("cat", "pen", 9, VIEW),  # no purchase to foretell
    ]
    data = by_time(rows, holdout_days=2, validation_days=4)
    names = np.array(data.ids.items)
    found = [
        (
            names[data.items[case.before]].tolist(),
            names[case.relevant].tolist(),
            names[case.new].tolist(),
        )
        for case in cases_of(data, HELD_OUT)
    ]
    assert found == [
        (["mug", "pen"], ["cup", "mug"], ["cup"]),
        (["mug", "pen", "mug", "cup"], ["cup"], []),
    ]
    assert data.source.held_out_from == 7 * DAY + 1
