"""A list of products from a file: what it brings, what of it is lost, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from model_export import prepared_folder
from model_export.errors import DataRefused
from model_export.preparation.catalogue import read_catalogue
from model_export.preparation.splits import LeaveOneOut
from model_export.preparation.stage import Wanted, prepare
from services.shared.item_vectors import Floats
from services.shared.model_input import PURCHASE
from tests.preparation_parts import feed_of, few, row


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        ([[3.0, 4.0], [0.0, 2.0]], ""),
        ([[3.0, float("nan")], [0.0, 2.0]], "1 of 5 vectors hold NaN"),
        ([[3.0], [0.0, 2.0]], "all need as many"),
    ],
)
def test_vectors_that_a_file_brings(tmp_path: Path, vectors: list[list[float]], says: str) -> None:
    """They are scaled to unit length; products without one have zeros; NaN is refused."""
    table = pl.DataFrame({"item_id": ["mug", "new"], "vector": vectors})
    table.write_parquet(tmp_path / "items.parquet")
    listed = read_catalogue(tmp_path / "items.parquet")
    wanted = Wanted(split=LeaveOneOut(), listed=listed)
    rows = [*few(), row(0, "pot", PURCHASE)]
    if says:
        with pytest.raises(DataRefused, match=says):
            prepare(feed_of(rows), wanted, tmp_path / "data")
        return
    source = prepare(feed_of(rows), wanted, tmp_path / "data")
    assert (source.item_vectors, source.products_lost) == (2, {"vector_missing": 3})
    content = prepared_folder.load(tmp_path / "data").content
    assert content is not None
    assert content.text is not None
    assert content.text.tolist() == [[0, 0], [0.60009765625, 0.7998046875], [0, 1], [0, 0], [0, 0]]


def test_a_vector_that_says_nothing_is_none(tmp_path: Path) -> None:
    """Missing in its row, or of zeros: it is counted as missing, not as a vector."""
    vectors = [[3.0, 4.0], None, [0.0, 0.0]]
    table = pl.DataFrame({"item_id": ["mug", "pen", "cup"], "vector": vectors})
    table.write_parquet(tmp_path / "items.parquet")
    wanted = Wanted(split=LeaveOneOut(), listed=read_catalogue(tmp_path / "items.parquet"))
    source = prepare(feed_of(few()), wanted, tmp_path / "data")
    assert (source.item_vectors, source.products_lost) == (1, {"vector_missing": 2})


def test_what_a_list_of_products_loses_is_counted(tmp_path: Path) -> None:
    """Rows without an id or listed again, prices that are none: in the data and in the report."""
    lines = ["mug,-1", "pen,dear", "cup,", ",3", "mug,0", "pot,4"]
    (tmp_path / "items.csv").write_text("\n".join(["item_id,price", *lines]))
    wanted = Wanted(split=LeaveOneOut(), listed=read_catalogue(tmp_path / "items.csv"))
    source = prepare(feed_of(few(), lost=Counter(offer_alone=2)), wanted, tmp_path / "data")
    lost = {"offer_alone": 2, "without_id": 1, "listed_twice": 1, "listed_price_impossible": 3}
    assert source.products_lost == lost
    assert prepared_folder.load(tmp_path / "data").source == source
    told = (tmp_path / "data/report.md").read_text()
    for name, count in lost.items():
        assert f"| {count} | `{name}` | " in told


def test_texts_without_words_have_no_vector(tmp_path: Path) -> None:
    """A title of which nothing can be read is counted among the missing."""
    (tmp_path / "items.csv").write_text("item_id,title\nmug,Mug\npen,…\n")
    listed = read_catalogue(tmp_path / "items.csv")
    wanted = Wanted(split=LeaveOneOut(), listed=listed, encoder=Lengths())
    source = prepare(feed_of(few()), wanted, tmp_path / "data")
    assert (source.item_vectors, source.products_lost) == (1, {"vector_missing": 2})


class Lengths:
    """An encoder that counts letters; a text without any has zeros."""

    name = "lengths"
    dimensions = 1

    def encode(self, texts: Sequence[str]) -> Floats:
        """[texts, 1]."""
        counts = [[sum(map(str.isalnum, text))] for text in texts]
        return np.array(counts, dtype=np.float32).reshape(-1, 1)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("items.csv", "title\nMug\n", "column item_id is missing; it has title"),
        ("items.csv", "item_id,vector\nmug,1\n", "vector is String; it must be a list of numbers"),
        ("items.jsonl", '{"item_id": "mug", "brand": ["A"]}', "brand is List"),
        ("items.jsonl", '{"item_id": ', "cannot be read"),
        ("items.txt", "mug", "the name must end in"),
    ],
)
def test_a_list_of_products_that_cannot_be_used(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    """The refusal names the file and what is wrong in it."""
    (tmp_path / name).write_text(text)
    with pytest.raises(DataRefused, match=says):
        read_catalogue(tmp_path / name)
