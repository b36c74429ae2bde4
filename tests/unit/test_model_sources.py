"""Interactions from files: what is read, what is left out, what is refused and how it is said."""

from __future__ import annotations

import gzip
from datetime import time
from pathlib import Path

import polars as pl
import pytest

from model_export.errors import DataRefused
from model_export.preparation.sources import STEP, read_complete_journey, read_s3rec, read_table
from services.shared.model_input import CART, PURCHASE, VIEW

MAY_FIRST = 1_714_521_600
"""2024-05-01T00:00:00Z in seconds since 1970."""
CSV = f"user_id,item_id,timestamp\n007,12,{MAY_FIRST}\n007,13,{MAY_FIRST + 1}\n"


def write(folder: Path, text: str, name: str = "shop.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_csv_keeps_ids_as_they_are_written(tmp_path: Path) -> None:
    """An id that looks like a number keeps its zeros; without event_type all are purchases."""
    read = read_table(write(tmp_path, CSV), time_unit="s")
    assert read.frame["user_id"].to_list() == ["007", "007"]
    assert read.frame["at"].to_list() == [MAY_FIRST * 1_000_000, (MAY_FIRST + 1) * 1_000_000]
    assert read.frame["action"].to_list() == [PURCHASE, PURCHASE]
    assert (read.name, read.rows) == ("shop.csv", 2)


def test_every_kind_of_file_says_the_same(tmp_path: Path) -> None:
    """CSV, compressed CSV and Parquet with the same rows are the same interactions."""
    plain = write(tmp_path, CSV)
    packed = tmp_path / "shop.csv.gz"
    packed.write_bytes(gzip.compress(CSV.encode()))
    table = tmp_path / "shop.parquet"
    pl.read_csv(plain, schema_overrides={"user_id": pl.String}).write_parquet(table)
    frames = [read_table(path, time_unit="s").frame for path in (plain, packed, table)]
    assert frames[0].equals(frames[1])
    assert frames[0].equals(frames[2])


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        (f"{MAY_FIRST}", "s"),
        (f"{MAY_FIRST}000", "ms"),
        (f"{MAY_FIRST}000000", "us"),
        ("2024-05-01T00:00:00", "s"),
        ("2024-05-01 00:00:00 UTC", "s"),
        ("2024-05-01T02:00:00+02:00", "s"),
    ],
)
def test_moments_however_they_are_written(tmp_path: Path, written: str, unit: str) -> None:
    """Numbers in each unit and text in ISO 8601, with a zone or without, are one moment."""
    path = write(tmp_path, f"user_id,item_id,timestamp\nana,mug,{written}\n")
    assert read_table(path, time_unit=unit).frame["at"].to_list() == [MAY_FIRST * 1_000_000]


def test_event_types_become_actions(tmp_path: Path) -> None:
    """What a shopper did is told apart; both names of a cart are one."""
    kinds = ("view", "cart", "add_to_cart", "purchase")
    rows = "".join(f"ana,mug,{MAY_FIRST},{kind}\n" for kind in kinds)
    path = write(tmp_path, "user_id,item_id,timestamp,event_type\n" + rows)
    assert read_table(path, time_unit="s").frame["action"].to_list() == [VIEW, CART, CART, PURCHASE]


def test_rows_without_an_id_or_a_time_are_left_out_and_counted(tmp_path: Path) -> None:
    """They say nothing of anybody; the count is kept so that somebody may ask why."""
    rows = f",mug,{MAY_FIRST}\nana,,{MAY_FIRST}\nana,mug,\nana,mug,{MAY_FIRST}\n"
    read = read_table(write(tmp_path, "user_id,item_id,timestamp\n" + rows), time_unit="s")
    assert len(read.frame) == 1
    assert read.left_out == {"no user, item or time": 3}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user_id,timestamp\nana,1\n", "column item_id is missing; it has user_id, timestamp"),
        ("user_id,item_id,timestamp\n", "none of its 0 rows has a user"),
        ("user_id,item_id,timestamp\nana,mug,1.5\n", "timestamp is Float64"),
        ("user_id,item_id,timestamp\nana,mug,noon\n", "1 of 1 timestamps cannot be read"),
        (
            "user_id,item_id,timestamp\nana,mug,2026-02-01\nana,mug,01/02/2026\n",
            "1 of 2 timestamps cannot be read, such as '01/02/2026'",
        ),
        ("user_id,item_id,timestamp,event_type\nana,mug,1,stare\n", "such as 'stare'; known are"),
        ("", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, text: str, says: str) -> None:
    """The refusal names the file and what is wrong in it."""
    path = write(tmp_path, text)
    with pytest.raises(DataRefused) as caught:
        read_table(path, time_unit="s")
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)


def test_a_time_of_day_is_no_moment(tmp_path: Path) -> None:
    """A column that lacks the day is refused, not guessed at."""
    table = pl.DataFrame({"user_id": ["ana"], "item_id": ["mug"], "timestamp": [time(12)]})
    table.write_parquet(tmp_path / "it.parquet")
    with pytest.raises(DataRefused, match="timestamp is Time; text, a date or an integer"):
        read_table(tmp_path / "it.parquet", time_unit="s")


@pytest.mark.parametrize(("name", "says"), [("no.csv", "not a file"), ("it.xlsx", "must end in")])
def test_a_file_that_is_none_or_of_another_kind(tmp_path: Path, name: str, says: str) -> None:
    """A missing file and an unknown ending are said plainly."""
    if says != "not a file":
        write(tmp_path, "x", name)
    with pytest.raises(DataRefused, match=says):
        read_table(tmp_path / name, time_unit="s")


@pytest.mark.parametrize("packed", [False, True])
def test_s3rec_has_a_line_for_each_user(tmp_path: Path, packed: bool) -> None:
    """The first word is the user, the others are items in time order, a day apart."""
    text = b"1 10 11 12\n2 10 12 11 10\n\n"
    path = tmp_path / ("two.txt.gz" if packed else "two.txt")
    path.write_bytes(gzip.compress(text) if packed else text)
    frame = read_s3rec(path).frame
    assert frame["user_id"].to_list() == ["1"] * 3 + ["2"] * 4
    assert frame["item_id"].to_list() == ["10", "11", "12", "10", "12", "11", "10"]
    assert frame["at"].to_list() == [i * STEP for i in (0, 1, 2, 0, 1, 2, 3)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 10 11\n", "line 1: 2 items"),
        ("", "has no lines"),
        ("1 2 3 4\n2 3 4 5\n1 5 6 7\n", "line 3: user 1 has a line already"),
    ],
)
def test_s3rec_that_cannot_be_used(tmp_path: Path, text: str, says: str) -> None:
    """A user too short to split is refused by its line, an empty file as a whole."""
    with pytest.raises(DataRefused, match=says):
        read_s3rec(write(tmp_path, text, "short.txt"))


def test_gzip_that_is_none(tmp_path: Path) -> None:
    """A file that only says it is compressed is refused by name."""
    with pytest.raises(DataRefused, match=r"no\.txt\.gz cannot be read"):
        read_s3rec(write(tmp_path, "1 2 3 4", "no.txt.gz"))
    whole = gzip.compress(b"1 2 3 4\n" * 1000)
    (tmp_path / "half.txt.gz").write_bytes(whole[:20] + b"?" + whole[21:])
    with pytest.raises(DataRefused, match=r"half\.txt\.gz cannot be read"):
        read_s3rec(tmp_path / "half.txt.gz")


@pytest.mark.parametrize(
    ("written", "unit"), [(f"{MAY_FIRST}000", "s"), (f"{MAY_FIRST}000000000", "s"), ("-5", "ms")]
)
def test_numbers_in_another_unit_than_was_said(tmp_path: Path, written: str, unit: str) -> None:
    """Milliseconds read as seconds are in no year that a shop has seen."""
    path = write(tmp_path, f"user_id,item_id,timestamp\nana,mug,{written}\n")
    with pytest.raises(DataRefused, match="1 of 1 timestamps are before 1970 or after 2100"):
        read_table(path, time_unit=unit)


def test_complete_journey_has_the_figures_that_its_authors_state() -> None:
    """2,469 households and 92,331 listed products; returns are left out and counted."""
    read = read_complete_journey()
    assert read.frame["user_id"].n_unique() == 2_469
    assert read.rows == 1_469_307
    assert len(read.frame) + read.left_out["quantity of 0 or less"] == read.rows
    assert read.catalogue_size is not None
    assert read.catalogue_size >= 92_331
