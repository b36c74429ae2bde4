"""The repeat table of a bundle: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from services.shared.bundle import load_bundle
from services.shared.errors import BundleRefused
from services.shared.repeat import RepeatTable, numbers, read_repeat
from tests.tiny_bundle import make_bundle, seal, write_json

VECTORS = {"mug": (1.0, 0.0), "cup": (1.0, 0.25), "lamp": (0.0, 1.0)}

REPEATS: dict[str, object] = {"counts": [], "recency_days": [], "score": [[1]]}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"counts": [2, 2], "recency_days": [], "score": [[1], [2], [3]]}, "counts must rise"),
        ({"counts": [], "recency_days": [7, 1], "score": [[1, 2, 3]]}, "recency_days must rise"),
        ({"counts": [2], "recency_days": [7], "score": [[1, 2]]}, "2 rows of 2 numbers"),
        ({"counts": [2], "recency_days": [7], "score": [[1, 2], [1]]}, "2 rows of 2 numbers"),
        ({"counts": [2], "recency_days": [7]}, "missing required field `score`"),
        ({"counts": [], "recency_days": [], "score": [[2e6]]}, r"not within .1e\+06"),
        ({**REPEATS, "again": "AAAA"}, "again has 3 bytes, expected 8: two for each of 4 products"),
        ({**REPEATS, "first": "AH4AAAAAAAA="}, "first has a number that is not finite"),
    ],
)
def test_what_is_wrong_with_a_repeat_table(
    tmp_path: Path, table: dict[str, object], says: str
) -> None:
    """Bounds that rise, a number for each pair of buckets, and one for each product."""
    folder = make_bundle(tmp_path / "bundle", VECTORS, blend={"repeat": 1.0})
    write_json(folder / "repeat.json", table)
    seal(folder)
    with pytest.raises(BundleRefused, match=says):
        load_bundle(folder)


def test_a_repeat_table_of_a_million_products_is_read(tmp_path: Path) -> None:
    """It has a number for each, twice; a bundle of so many must not be refused for its size."""
    rows = 1_000_001
    worth = numbers(np.ones(rows))
    table = RepeatTable(
        counts=(1.0,), recency_days=(7.0,), score=((0, 0), (0, 0)), again=worth, first=worth
    )
    path = tmp_path / "repeat.json"
    path.write_bytes(msgspec.json.encode(table))
    assert len(read_repeat(path, rows).again) == 2 * rows
