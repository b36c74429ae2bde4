"""Spark reads the archive; run where pyspark (and Java 17 or newer) is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.archive.compacting import Compaction
from services.shared.archive_storage import LocalStorage
from tests.archive_parts import DAY_MS, MASTER, NOON_MS, TABLE, archivist, record_at
from tests.profile_events import event, view

spark_sql = pytest.importorskip(
    "pyspark.sql", reason="pyspark is not installed: what Spark makes of the archive is not tried"
)


def test_spark_reads_every_row_once(tmp_path: Path) -> None:
    """Rows, days and shops as partitions, lists and structs; nothing of what lies beside them."""
    ours = archivist(LocalStorage(tmp_path))
    line = {"productId": "mug", "quantity": 2, "unitPrice": {"currencyCode": "EUR", "units": "3"}}
    bought = event(0, purchase={"orderId": "o", "lines": [line]})
    ours.archive([record_at(bought, 0), record_at(view(1), 1)])
    ours.archive([record_at(view(2, shopId="other"), 2, appended_ms=NOON_MS + DAY_MS)])
    ours.archive([record_at(view(3), 3)])
    Compaction(LocalStorage(tmp_path), MASTER).table(TABLE, lambda _: True)
    spark = (
        spark_sql.SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    try:
        frame = spark.read.option("mergeSchema", "true").parquet(f"{tmp_path}/{TABLE}")
        found = frame.orderBy("offset").collect()
    finally:
        spark.stop()
    assert [row["offset"] for row in found] == [0, 1, 2, 3]
    rows = {row["offset"]: row for row in found}
    assert {str(row["day"]) for row in rows.values()} == {"2026-03-01", "2026-03-02"}
    assert rows[2]["shop"] == rows[2]["shop_id"] == "other"
    assert (rows[0]["lines"][0]["product_id"], rows[0]["lines"][0]["units"]) == ("mug", 3)
    assert rows[1]["product_id"] == "mug"
