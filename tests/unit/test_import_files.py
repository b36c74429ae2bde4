"""A shop's files, as they are read, and the mapping that says how."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from attune.events.v1.shopper_event_pb2 import ShopperEvent

from services.events.adapters import csv_file
from services.events.adapters.csv_file import LINE_CHARACTERS, CsvFile
from services.events.adapters.import_files import found, row_file
from services.events.adapters.parquet_file import BATCH_ROWS, ParquetFile
from services.events.domain.mapping import FileMapping, read_mapping
from services.events.domain.rows import Row
from services.shared.errors import BadInput, BadSetting
from tests.import_parts import AT, line, made, maker, view, write_csv


def csv_of(tmp_path: Path, content: bytes, delimiter: str = ",") -> CsvFile:
    """A file with this content."""
    path = tmp_path / "shop.csv"
    path.write_bytes(content)
    return CsvFile(path, delimiter=delimiter)


def all_of(file: CsvFile | ParquetFile, after: int = 0) -> list[Row]:
    """Its rows with all columns."""
    return list(file.rows(after=after, columns=file.columns))


def test_cells_of_csv(tmp_path: Path) -> None:
    """Quoted ones may hold anything; a mark at the start and blank lines are passed over."""
    content = '\ufeffa,b\r\n1,"x, ""y""\nz"\r\n\r\n,é\r\n'.encode()
    assert [(row.number, row.cells) for row in all_of(csv_of(tmp_path, content))] == [
        (1, {"a": "1", "b": 'x, "y"\nz'}),
        (3, {"b": "é"}),
    ]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter(tmp_path: Path, delimiter: str) -> None:
    """As the mapping says."""
    file = csv_of(tmp_path, f"a{delimiter}b\n1{delimiter}2,3\n".encode(), delimiter)
    assert all_of(file)[0].cells == {"a": "1", "b": "2,3"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (b"1", "has 1 cells; the heading has 2"),
        (b"1,2,3", "has 3 cells; the heading has 2"),
        (b"1,\xff", "is not in UTF-8"),
        (b'1,"x"y', "is not CSV up to line 3"),
        (b"1," + b"x" * 140_000, "field larger than field limit"),
    ],
)
def test_a_broken_row_is_one_row(tmp_path: Path, wrong: bytes, said: str) -> None:
    """It has its number and what is wrong; those around it are read as ever."""
    first, broken, last = all_of(csv_of(tmp_path, b"a,b\n1,2\n" + wrong + b"\n3,4\n"))
    assert (first.cells, last.cells) == ({"a": "1", "b": "2"}, {"a": "3", "b": "4"})
    assert (broken.number, last.number) == (2, 3)
    assert said in broken.fault


def test_a_quotation_mark_that_is_left_open(tmp_path: Path) -> None:
    """What it swallows is refused with it, and said."""
    (broken,) = all_of(csv_of(tmp_path, b'a,b\n1,"2\n3,4\n'))
    assert "is a quotation mark left open?" in broken.fault


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no heading"),
        (b"a,b,a\n", "has the column 'a' twice"),
        (b"a,\xff\n", "has no heading in UTF-8"),
        (b"a" * LINE_CHARACTERS, "has a line of more than"),
    ],
)
def test_a_heading_that_is_none(tmp_path: Path, content: bytes, said: str) -> None:
    """The file is refused before anything is read."""
    with pytest.raises(BadInput, match=said):
        csv_of(tmp_path, content)


def test_a_line_without_an_end(tmp_path: Path) -> None:
    """It is not read into memory."""
    file = csv_of(tmp_path, b"a\n1\n" + b'"' + b"x" * (LINE_CHARACTERS + 1))
    with pytest.raises(BadInput, match="has a line of more than"):
        all_of(file)


def test_rows_behind_those_that_are_done(tmp_path: Path) -> None:
    """A broken row and a blank line count like any other."""
    file = csv_of(tmp_path, b'a,b\n1,2\n1,"x"y\n\n3\n4,5\n')
    numbers = [row.number for row in all_of(file)]
    assert numbers == [1, 2, 4, 5]
    for after in range(7):
        assert [row.number for row in all_of(file, after)] == [n for n in numbers if n > after]


def test_what_was_read_grows_to_the_files_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bar has something to go by."""
    monkeypatch.setattr(csv_file, "BUFFER_BYTES", 4096)
    path = write_csv(tmp_path / "shop.csv", [view(n) for n in range(5_000)])
    read = [row.read for row in all_of(CsvFile(path, delimiter=","))]
    assert read == sorted(read)
    assert read[0] < read[2_500] < read[-1] <= path.stat().st_size


COLUMNS: dict[str, Any] = {
    "text": ["a", None],
    "whole": [1, None],
    "amount": [Decimal("12.50"), None],
    "moment": [datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC), None],
    "local": [datetime(2026, 3, 1, 12), None],
    "day": [date(2026, 3, 1), None],
    "list": [["a", "b"], None],
}


def test_cells_of_parquet(tmp_path: Path) -> None:
    """Each type as CSV would have it; a time says what it knows of its zone."""
    pl.DataFrame(COLUMNS).write_parquet(tmp_path / "shop.parquet")
    first, second = all_of(ParquetFile(tmp_path / "shop.parquet"))
    assert first.cells == {
        "text": "a",
        "whole": "1",
        "amount": "12.50",
        "moment": "2026-03-01T12:00:00.000005+00:00",
        "local": "2026-03-01T12:00:00.000000",
        "day": "2026-03-01",
        "list": ["a", "b"],
    }
    assert second.cells == {}


@pytest.mark.parametrize("wrong", [1.5, True, b"x", {"a": 1}, [1]])
def test_a_column_of_another_type(tmp_path: Path, wrong: Any) -> None:
    """It is refused by name, where it is to be read; beside others it does no harm."""
    pl.DataFrame({"amount": [wrong], "a": ["b"]}).write_parquet(tmp_path / "shop.parquet")
    file = ParquetFile(tmp_path / "shop.parquet")
    with pytest.raises(BadInput, match="column 'amount' is of type"):
        all_of(file)
    assert [row.cells for row in file.rows(after=0, columns=["a"])] == [{"a": "b"}]


def test_batches_of_parquet(tmp_path: Path) -> None:
    """Over more than one batch and row group, from any row on, in order."""
    count = 2 * BATCH_ROWS + 7
    frame = pl.DataFrame({"n": range(1, count + 1)})
    frame.write_parquet(tmp_path / "shop.parquet", row_group_size=3_000)
    file = ParquetFile(tmp_path / "shop.parquet")
    for after in (0, 1, BATCH_ROWS, count - 1, count):
        rows = all_of(file, after)
        assert [row.number for row in rows] == list(range(after + 1, count + 1))
        assert all(row.cells == {"n": str(row.number)} for row in rows)


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    """It is refused by name."""
    (tmp_path / "shop.parquet").write_text("a,b\n")
    with pytest.raises(BadInput, match=r"shop\.parquet cannot be read as Parquet"):
        ParquetFile(tmp_path / "shop.parquet")


def test_csv_and_parquet_of_the_same_are_the_same_events(tmp_path: Path) -> None:
    """Typed or as text: a shop may change its format without counting twice."""
    rows = [view(1), line(1, 2, unit_price="3.50", currency="EUR"), line(1, 3), view(2)]
    path = write_csv(tmp_path / "shop.csv", rows)
    typed = pl.read_csv(path, infer_schema=False).with_columns(
        pl.col("occurred_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC"),
        pl.col("unit_price").cast(pl.Decimal(12, 2)),
        pl.col("quantity").cast(pl.Int32),
    )
    typed.write_parquet(tmp_path / "shop.parquet")
    events: list[list[ShopperEvent]] = []
    for name in ("shop.csv", "shop.parquet"):
        file = row_file(tmp_path / name, FileMapping())
        some = maker(FileMapping(), file.columns).made(file.rows(after=0, columns=file.columns))
        events.append([one.event for one in some if isinstance(one.event, ShopperEvent)])
    assert events[0] == events[1] == [one.event for one in made(rows)]


def test_which_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and patterns, each file once, in order; a name may look like a pattern."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.csv", "a.csv", "[x].csv", "deep/c.parquet", "note.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    assert [path.name for path in found(["b.csv", "?.csv", "**/*.parquet"])] == [
        "b.csv",
        "a.csv",
        "c.parquet",
    ]
    assert [path.name for path in found(["[x].csv"])] == ["[x].csv"]
    with pytest.raises(BadSetting, match=r"none\*: there is no such file"):
        found(["a.csv", "none*"])
    with pytest.raises(BadSetting, match=r"note\.txt: must end in \.csv or \.parquet"):
        found(["note.txt"])


def test_no_mapping_takes_our_names() -> None:
    """Other columns are left alone."""
    taken = read_mapping("").taken_from(["action", "occurred_at", "user_id", "colour"])
    assert taken == {"action": "action", "occurred_at": "occurred_at", "user_id": "user_id"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[columns]\nuser = 'x'", r"\[columns\] has the unknown name 'user'; known are event_id"),
        ("[constants]\nprice = '1'", r"\[constants\] has the unknown name 'price'"),
        ("[constants]\nquantity = 1", "Expected `str`, got `int`"),
        ("[constants]\nevent_id = '1'", "events of one id count once, all of them"),
        ("[actions]\nsold = 'buy'", "Invalid enum value 'buy'"),
        ("[column]", "unknown field `column`"),
        ("[time]\nzone = 'Mars/Olympus'", "time.zone 'Mars/Olympus' is not known"),
        ("[time]\nzone = '../../etc/passwd'", "is not known"),
        ("[money]\ndecimal = ';'", "Invalid enum value ';'"),
        ("[csv]\ndelimiter = '::'", "Invalid enum value '::'"),
        ("[columns", "Expected"),
    ],
)
def test_a_mapping_that_is_none(text: str, said: str) -> None:
    """What is wrong is named."""
    with pytest.raises(BadSetting, match=said):
        read_mapping(text)


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("[columns]\nuser_id = 'customer'", ["action"], "has no column 'customer' for user_id"),
        ("", ["action", "user_id"], "does not say occurred_at"),
        ("", ["action", "occurred_at"], "does not say user_id or visitor_id"),
        (f"[constants]\noccurred_at = '{AT}'", ["user_id"], "does not say action"),
    ],
)
def test_a_file_that_the_mapping_does_not_fit(text: str, columns: list[str], said: str) -> None:
    """It is refused before anything is read, with what it has."""
    with pytest.raises(BadSetting, match=said):
        read_mapping(text).taken_from(columns)
