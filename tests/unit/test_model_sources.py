"""Interactions from files: what is read, what is left out, what is refused and how it is said."""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import time
from pathlib import Path

import polars as pl
import pytest

from model_export.errors import DataRefused
from model_export.preparation.columns import columns_told
from model_export.preparation.csv_blocks import csv_batches
from model_export.preparation.sources import STEP, read_s3rec
from model_export.preparation.tables import table_feed
from services.shared.model_input import CART, PURCHASE, VIEW

MAY_FIRST = 1_714_521_600
"""2024-05-01T00:00:00Z in seconds since 1970."""
CSV = f"user_id,item_id,timestamp\n007,12,{MAY_FIRST}\n007,13,{MAY_FIRST + 1}\n"


def write(folder: Path, text: str, name: str = "shop.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def read_table(
    path: Path, time_unit: str = "s", columns: str | None = None, separator: str | None = None
) -> pl.DataFrame:
    """The rows of a table, as they come before any cleaning."""
    feed = table_feed(path, columns_told(columns, time_unit, separator), latest=2**62)
    return pl.concat(feed.batches(Counter()))


def test_csv_keeps_ids_as_they_are_written(tmp_path: Path) -> None:
    """An id that looks like a number keeps its zeros; without event_type all are purchases."""
    read = read_table(write(tmp_path, CSV), time_unit="s")
    assert read["user_id"].to_list() == ["007", "007"]
    assert read["at"].to_list() == [MAY_FIRST * 1_000_000, (MAY_FIRST + 1) * 1_000_000]
    assert read["action"].to_list() == [PURCHASE, PURCHASE]
    assert read["thing"].to_list() == ["12", "13"]


def test_every_kind_of_file_says_the_same(tmp_path: Path) -> None:
    """CSV, compressed CSV and Parquet with the same rows are the same interactions."""
    plain = write(tmp_path, CSV)
    packed = tmp_path / "shop.csv.gz"
    packed.write_bytes(gzip.compress(CSV.encode()))
    table = tmp_path / "shop.parquet"
    pl.read_csv(plain, schema_overrides={"user_id": pl.String}).write_parquet(table)
    frames = [read_table(path, time_unit="s") for path in (plain, packed, table)]
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
    assert read_table(path, time_unit=unit)["at"].to_list() == [MAY_FIRST * 1_000_000]


def test_event_types_become_actions(tmp_path: Path) -> None:
    """What a shopper did is told apart; both names of a cart are one."""
    kinds = ("view", "cart", "add_to_cart", "purchase")
    rows = "".join(f"ana,mug,{MAY_FIRST},{kind}\n" for kind in kinds)
    path = write(tmp_path, "user_id,item_id,timestamp,event_type\n" + rows)
    assert read_table(path, time_unit="s")["action"].to_list() == [VIEW, CART, CART, PURCHASE]


def test_rows_without_an_id_or_a_time_have_none(tmp_path: Path) -> None:
    """What is empty is nothing, not a user of the name ""."""
    rows = f",mug,{MAY_FIRST}\nana,,{MAY_FIRST}\nana,mug,\n"
    read = read_table(write(tmp_path, "user_id,item_id,timestamp\n" + rows))
    assert read["user_id"].to_list() == [None, "ana", "ana"]
    assert read["thing"].to_list() == ["mug", None, "mug"]
    assert read["at"].null_count() == 1


def test_a_table_with_everything(tmp_path: Path) -> None:
    """Words of searches are normalised; categories are paths; a cancellation needs its order."""
    table = """\
user_id,item_id,timestamp,event_type,query,price,quantity,order_id,session_id,category,brand
ana,mug,1714521600,view,,9.5,,,s1,Home > Mugs,Acme
ana,,1714521601,search,"  Blue   MUG, ",,,,s1,,
ana,,1714521602,cancel,,,,o1,,,
ana,,1714521603,cancel,,,,,,,
ana,,1714521604,search,…,,,,,,
"""
    read = read_table(write(tmp_path, table))
    assert read["thing"].to_list() == ["mug", "blue mug", "", None, None]
    assert read["category"][0].to_list() == ["Home", "Mugs"]
    assert read.row(0, named=True)["price"] == 9.5
    assert (read["session_id"][0], read["order_id"][2], read["brand"][1]) == ("s1", "o1", None)


def test_columns_of_other_names(tmp_path: Path) -> None:
    """Named one by one, or as the REES46 data sets call them."""
    path = write(tmp_path, f"who,what,timestamp,extra\nana,mug,{MAY_FIRST},x\n")
    assert read_table(path, columns="user_id=who,item_id=what")["thing"].to_list() == ["mug"]
    rees = "event_time,event_type,product_id,category_code,brand,price,user_id,user_session\n"
    rees += "2019-10-01 00:00:01 UTC,cart,44,home.mugs,,35.79,7,s1\n"
    read = read_table(write(tmp_path, rees, "rees.csv"), columns="rees46").row(0, named=True)
    assert (read["thing"], read["action"], read["category"]) == ("44", CART, ["home", "mugs"])
    with pytest.raises(DataRefused, match="'item' is no column of ours"):
        columns_told("item=what", "s", None)
    with pytest.raises(DataRefused, match="column nobody is missing"):
        read_table(path, columns="user_id=who,item_id=what,price=nobody")


def test_ids_that_are_no_text(tmp_path: Path) -> None:
    """Whole numbers become text, also where a tool made floats of them; the rest is refused."""
    good = pl.DataFrame({"user_id": [1.0, None], "item_id": [7, 8], "timestamp": [1, 2]})
    good.write_parquet(tmp_path / "it.parquet")
    assert read_table(tmp_path / "it.parquet")["user_id"].to_list() == ["1", None]
    bad: list[tuple[pl.Series, str]] = [
        (pl.Series("user_id", [["a"]]), r"user_id is List\(String\); an id must be text"),
        (pl.Series("user_id", [{"a": 1}]), "user_id is Struct"),
        (pl.Series("user_id", [True]), "user_id is Boolean"),
        (pl.Series("user_id", [1.5]), "numbers that are not whole"),
    ]
    for column, says in bad:
        table = pl.DataFrame([column, pl.Series("item_id", ["a"]), pl.Series("timestamp", [1])])
        table.write_parquet(tmp_path / "it.parquet")
        with pytest.raises(DataRefused, match=says):
            read_table(tmp_path / "it.parquet")


def test_csv_in_blocks_of_any_size(tmp_path: Path) -> None:
    """A row is never cut, be there line ends and quotes within quotes."""
    text = 'a,b\r\n1,"two\nlines"\n2,"say ""so"", then\n"\n3,\n"4",x'
    path = write(tmp_path, text)
    whole = pl.concat(csv_batches(path))
    assert whole["b"].to_list() == ["two\nlines", 'say "so", then\n', None, "x"]
    for block in range(1, len(text)):
        assert pl.concat(csv_batches(path, block=block)).equals(whole)


def test_a_folder_of_tables(tmp_path: Path) -> None:
    """Its files are read in the order of their names."""
    write(tmp_path, CSV.replace("007", "b"), "2.csv")
    write(tmp_path, CSV.replace("007", "a"), "1.csv")
    assert read_table(tmp_path)["user_id"].to_list() == ["a", "a", "b", "b"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user_id,timestamp\nana,1\n", "column item_id is missing; it has user_id, timestamp"),
        ("user_id,item_id,timestamp\nana,mug,1.5\n", "such as '1.5'"),
        ("user_id,item_id,timestamp,price\nana,mug,1,dear\n", "values of price are no numbers"),
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
