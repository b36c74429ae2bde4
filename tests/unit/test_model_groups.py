"""The demographic groups of users from a file: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from model_export import prepared_folder
from model_export.__main__ import main
from model_export.errors import DataRefused
from model_export.preparation.groups import read_groups
from tests.model_parts import rounds, write_csv

CSV = "group,user_id,since\n65+,007,2019\n,008,2020\n65+,007,2021\n18-24,9,2022\n"


def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    """Ids as they are written; who has no group is of none; a row that says it again is one."""
    (tmp_path / "ages.csv").write_text(CSV)
    pl.read_csv(tmp_path / "ages.csv", infer_schema=False).write_parquet(tmp_path / "ages.parquet")
    for name in ("ages.csv", "ages.parquet"):
        assert read_groups(tmp_path / name).rows() == [("007", "65+"), ("9", "18-24")]


def test_ids_and_groups_that_are_numbers(tmp_path: Path) -> None:
    """They become text, as the ids of a table do."""
    pl.DataFrame({"user_id": [7, 8], "group": [1, 2]}).write_parquet(tmp_path / "it.parquet")
    assert read_groups(tmp_path / "it.parquet").rows() == [("7", "1"), ("8", "2")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user_id,age\nana,65+\n", "column group is missing; it has user_id, age"),
        ("age\n65+\n", "column user_id, group is missing; it has age"),
        ("user_id,group\nana,\n", "none of its 1 rows has a group"),
        ("user_id,group\nana,65+\n,65+\n", "1 of its 2 rows have no user_id"),
        (
            "user_id,group\nben,a\nana,18-24\nana,65+\n",
            "1 users have more than one group, such as 'ana' with '18-24' and '65+'; give each",
        ),
    ],
)
def test_groups_that_cannot_be_used(tmp_path: Path, text: str, says: str) -> None:
    """The refusal names the file and what is wrong in it."""
    (tmp_path / "ages.csv").write_text(text)
    with pytest.raises(DataRefused) as caught:
        read_groups(tmp_path / "ages.csv")
    assert str(caught.value).startswith(str(tmp_path / "ages.csv"))
    assert says in str(caught.value)


def test_prepare_takes_groups(tmp_path: Path) -> None:
    """By the command: each user has the group of the file, and the others are counted."""
    write_csv(rounds(users=3), tmp_path / "shop.csv")
    (tmp_path / "ages.csv").write_text("user_id,group\nu001,65+\nu002,18-24\nnobody,65+\n")
    told = f"prepare {tmp_path}/shop.csv --groups {tmp_path}/ages.csv --to {tmp_path}/data"
    assert main([*told.split(), "--holdout-days", "2"]) == 0
    ids, source, _ = prepared_folder.load_about(tmp_path / "data")
    assert ids.groups == [None, "65+", "18-24"]
    assert (source.grouped, source.grouped_elsewhere) == (2, 1)
