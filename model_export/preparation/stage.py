"""From any source to a prepared folder.

Gather (lay rows out by user), clean (an engine applies the rules), number (codes, one order,
parts), describe (features and vectors of products), report. The folder appears whole.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from model_export import prepared_folder
from model_export.dataset import Features, Tables
from model_export.errors import DataRefused
from model_export.preparation.catalogue import VECTOR, Listed
from model_export.preparation.content import Featured, described, featured, product_texts
from model_export.preparation.engine import Engine, PolarsEngine
from model_export.preparation.folder import replaced
from model_export.preparation.gathering import PART_ROWS, Found, Gathering
from model_export.preparation.numbering import Shards, Tally, tallied, write_shards
from model_export.preparation.reasons import LOSSES, REASONS, VECTOR_MISSING
from model_export.preparation.report import markdown
from model_export.preparation.rows import PRODUCT, Feed
from model_export.preparation.settings import Cleaning
from model_export.preparation.splits import ByTime, Split
from model_export.preparation.steps import Silent, Watch
from model_export.preparation.text import encode_texts, write_given
from model_export.prepared_folder import ITEM_VECTORS, QUERY_VECTORS, SHARD_ROWS
from model_export.source import Source
from services.shared.model_input import CART, CLICK, IMPRESSION, PURCHASE, SEARCH, VIEW
from services.shared.text_encoder import TextEncoder

REPORT: Final = "report.md"
NAMES: Final = {
    VIEW: "view",
    CLICK: "click",
    CART: "cart",
    PURCHASE: "purchase",
    SEARCH: "search",
    IMPRESSION: "impression",
}
COARSE: Final = (
    "Moments are full hours or days: nobody's pace can be told, and the rule on it is off."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to prepare."""

    split: Split = field(default_factory=ByTime)
    limits: Cleaning = field(default_factory=Cleaning)
    engine: Engine = field(default_factory=PolarsEngine)
    listed: Listed | None = None
    """A list of products beside the source's own."""
    encoder: TextEncoder | None = None
    catalogue_size: int | None = None
    part_rows: int = PART_ROWS
    """Rows that are cleaned at once, about; changes nothing but the memory that it takes."""
    shard_rows: int = SHARD_ROWS
    """Rows of a shard, about."""


class _Words(msgspec.Struct, frozen=True):
    """What became of texts."""

    encoder: str = ""
    items: int = 0
    queries: int = 0


def prepare(feed: Feed, wanted: Wanted, folder: Path, watch: Watch | None = None) -> Source:
    """Make the prepared folder, in the place of the one that is there.

    Raises DataRefused, and what the source raises; then the former folder is untouched.
    """
    watch = watch or Silent()
    with replaced(folder) as writing:
        work = writing / "work"
        work.mkdir()
        found = Gathering(feed, work, part_rows=wanted.part_rows).run(watch.step("reading"))
        cleaned = work / "cleaned"
        medians = wanted.engine.clean(
            found.gathered, wanted.limits, cleaned, watch.step("cleaning")
        )
        files = sorted(cleaned.glob("*.parquet"))
        tally = tallied(feed.name, files, found.left_out)
        products = _products(feed, wanted, found, tally, medians)
        shards = write_shards(
            files,
            tally,
            products["item_id"],
            wanted.split,
            work / "shards",
            watch.step("numbering"),
            rows=(wanted.part_rows, wanted.shard_rows),
        )
        wanted.split.check(feed.name, shards.parts, tally.first_at, tally.last_at)
        words = _write_words(wanted, products, tally, writing, watch)
        features = featured(products, wanted.limits.price_bands)
        source = _source(feed, wanted, found, tally, shards, products, features, words)
        prepared_folder.save_about(_about(feed, tally, products, features, source), writing)
        (writing / REPORT).write_text(markdown(source))
        (work / "shards").rename(writing / "interactions")
        shutil.rmtree(work)
    return source


def _products(
    feed: Feed, wanted: Wanted, found: Found, tally: Tally, medians: pl.DataFrame
) -> pl.DataFrame:
    listed = [feed.products, *([wanted.listed.products] if wanted.listed else [])]
    known = described(tally.seen["thing"], pl.concat(listed), found.said, medians)
    size = wanted.catalogue_size
    if size is not None and size < len(known):
        raise DataRefused(
            f"{feed.name}: a catalogue of {size} products cannot hold the {len(known)} in it"
        )
    return known


def _write_words(
    wanted: Wanted, products: pl.DataFrame, tally: Tally, folder: Path, watch: Watch
) -> _Words:
    """Write vectors: those that a file has brought, or the encoder's."""
    given = wanted.listed.vectors if wanted.listed else None
    if given is not None:
        joined = products.select("item_id").join(
            given, on="item_id", how="left", maintain_order="left"
        )
        some = write_given(joined[VECTOR].to_list(), "the list of products", folder / ITEM_VECTORS)
        return _Words("given with the products", some)
    if wanted.encoder is None:
        return _Words()
    texts = product_texts(products)
    queries = tally.queries["thing"].to_list()
    return _Words(
        wanted.encoder.name,
        *(
            encode_texts(each, wanted.encoder, folder / file, watch.step(f"vectors of {what}"))
            for each, file, what in (
                (texts, ITEM_VECTORS, "products"),
                (queries, QUERY_VECTORS, "queries"),
            )
        ),
    )


def _lost(feed: Feed, wanted: Wanted, items: int, words: _Words) -> dict[str, int]:
    """Reason → how much of what was said of products is lost."""
    lost = feed.lost + (wanted.listed.lost if wanted.listed else Counter())
    if words.encoder:
        lost[VECTOR_MISSING.name] = items - words.items
    return {each.name: lost[each.name] for each in LOSSES if lost[each.name]}


def _grouped(feed: Feed, tally: Tally) -> tuple[int, int]:
    """How many users with a group are here, and how many are not."""
    told = feed.groups.select("user_id").unique()
    here = len(told.join(tally.users, on="user_id", how="semi"))
    return here, len(told) - here


def _about(
    feed: Feed, tally: Tally, products: pl.DataFrame, features: Featured, source: Source
) -> Tables:
    groups = feed.groups.unique("user_id", keep="last", maintain_order=True)
    users = tally.users.select("user_id").join(
        groups, on="user_id", how="left", maintain_order="left"
    )
    told = [name for name in PRODUCT if name not in ("item_id", "description")]
    items = products.select("item_id", features.numbers.alias("features"), *told)
    queries = tally.queries.select(pl.col("thing").alias("query"))
    names = Features(features.names, source.encoder, features.bounds)
    return Tables(items, users, queries, names, source)


def _source(
    feed: Feed,
    wanted: Wanted,
    found: Found,
    tally: Tally,
    shards: Shards,
    products: pl.DataFrame,
    features: Featured,
    words: _Words,
) -> Source:
    bounds = wanted.split.bounds(tally.last_at)
    grouped, elsewhere = _grouped(feed, tally)
    return Source(
        name=feed.name,
        sha256=_sum_of(feed, wanted),
        split=wanted.split.name,
        rows_read=found.rows_read,
        rows_kept=sum(tally.actions.values()),
        left_out={
            each.name: tally.left_out[each.name] for each in REASONS if tally.left_out[each.name]
        },
        first_at=tally.first_at,
        last_at=tally.last_at,
        validation_from=bounds[0],
        held_out_from=bounds[1],
        catalogue_size=wanted.catalogue_size or len(products),
        actions={NAMES[action]: rows for action, rows in tally.actions.items()},
        users=len(tally.users),
        grouped=grouped,
        grouped_elsewhere=elsewhere,
        items=len(products),
        queries=len(tally.queries),
        sessions=shards.sessions,
        products_lost=_lost(feed, wanted, len(products), words),
        untouched=len(products) - len(tally.seen),
        bots=tally.bots,
        features=len(features.names),
        encoder=words.encoder,
        item_vectors=words.items,
        query_vectors=words.queries,
        limits=msgspec.structs.asdict(wanted.limits),
        notes=() if found.gathered.is_paced else (COARSE,),
    )


def _sum_of(feed: Feed, wanted: Wanted) -> str:
    """Of the interactions, and of the list of products where one was told beside them."""
    if wanted.listed is None:
        return feed.sha256
    return hashlib.sha256(f"{feed.sha256} {wanted.listed.sha256}".encode()).hexdigest()
