"""`all`: from the demo's data to the committed bundle, here from a small shop in its place."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from model_export.__main__ import main
from model_export.evaluation import learning_curve
from model_export.preparation.rows import PRODUCT, Feed
from services.shared.bundle import load_bundle
from services.shared.model_input import PURCHASE
from tests.model_parts import TRAINING, rounds
from tests.preparation_parts import DAY, feed_of, row

CHECKPOINT = Path("build/model/checkpoint")


def shop() -> Feed:
    """Twenty shoppers who buy in rounds for forty days, and a list of the products."""
    rows = [
        row(day * DAY, item, PURCHASE, user_id=user)
        for user, item, day, *_ in rounds(users=20, days=40)
    ]
    products = [{"item_id": f"i{n}", "title": f"Mug {n}"} for n in range(8)]
    return feed_of(rows, products=pl.DataFrame(products, dict(PRODUCT)))


def test_all_makes_a_bundle_with_everything_in_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prepared as `prepare` does, trained anew, its learning curve measured, then exported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("model_export.preparation.command.complete_journey_feed", shop)
    monkeypatch.setattr("model_export.__main__.COMMITTED", f"{TRAINING} --epochs 1")
    monkeypatch.setattr("model_export.cli.SHARES", (0.5, 1.0))
    CHECKPOINT.mkdir(parents=True)
    (CHECKPOINT / learning_curve.NAME).write_text("of a former run")
    assert main(["all"]) == 0
    said = capsys.readouterr().out
    assert Path("build/model/data/report.md").read_text() in said
    items = pl.read_parquet("build/model/data/items.parquet")
    assert items["title"].to_list() == [f"Mug {n}" for n in range(8)]
    assert {path.name for path in Path("build/model").iterdir()} == {"data", "checkpoint"}
    curve = learning_curve.load(CHECKPOINT)
    assert curve is not None
    assert [point.share for point in curve.points] == [0.5, 1.0]
    bundle = load_bundle(Path("deploy/local/model"))
    assert bundle.manifest.created_from["train.dimensions"] == 16
    card = Path("deploy/local/model/card.md").read_text()
    assert "Not measured" not in card
    assert re.search(r"^\| 50 % +\| +10 \|", card, re.MULTILINE)
