"""Catalogues of any size and shoppers, made from the demo's real ones.

Fewer products are those bought most. More are the real ones again under other names, each with a
vector a little beside its original's, so that as many are near to each other as in a real
catalogue. Beyond a hundred thousand, vectors are product codes, as training would have them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from deploy.local.demo.complete_journey import (
    CatalogProduct,
    baskets,
    newest,
    read_products,
    read_sales,
)
from deploy.local.demo.records import Record, offer_record, product_record, purchase_record
from model_export.training.quantize import bytes_for, codebooks
from services.profiles.domain.draft import Draft
from services.profiles.domain.fold import addition
from services.shared.bundle import Bundle, load_bundle
from services.shared.encoder import Encoder
from services.shared.event_codec import decode_event
from services.shared.golden import TOP
from services.shared.item_vectors import FullVectors
from services.shared.product_codes import CodedVectors, encode
from services.shared.profile_store import NOTHING, RedisProfileStore, Write
from services.shared.redis_connection import RedisConnection
from services.shared.repeat import NUMBER
from services.shared.scores import best
from tests.stack import BUNDLE
from tests.tiny_bundle import seal, write_json

SHOP: Final = "demo"
LINES: Final = 600_000
"""Order lines that profiles are folded from, as in the demo."""
LARGE: Final = 100_000
"""Above so many products a bundle has codes."""
SPREAD: Final = 0.2
"""How far a copy's vector is from its original, in lengths of that."""
KEPT: Final = timedelta(days=30)


class World(NamedTuple):
    """What a bench asks about."""

    bundle: Path
    products: list[CatalogProduct]
    users: list[str]


def world(size: int, folder: Path) -> World:
    """A bundle and a catalogue of ``size`` products; the bundle is kept in ``folder``."""
    base = load_bundle(BUNDLE)
    rows = _rows(base, size)
    ids = _ids(base, rows)
    target = folder / f"bundle-{size}"
    if not (target / "manifest.json").exists():
        shutil.rmtree(target, ignore_errors=True)
        _write_bundle(base, rows, ids, target)
    sales = read_sales()
    known = {product.product_id: product for product in read_products(sales)}
    originals = [base.vocabulary.product_id(row) for row in rows.tolist()]
    products = [
        known[original]._replace(product_id=product_id)
        for original, product_id in zip(originals, ids, strict=True)
        if original in known
    ]
    users = newest(sales, LINES)["household_id"].unique(maintain_order=True).to_list()
    return World(target, products, users)


def records(products: list[CatalogProduct]) -> Iterator[tuple[str, Record]]:
    """Topic and record of each product and its offer."""
    for product in products:
        yield "catalog", product_record(SHOP, product)
        yield "offers", offer_record(SHOP, product)


async def fold_profiles(redis_url: str, now: int) -> None:
    """Write the demo's profiles to Redis, as the worker would; the data end at ``now``."""
    sales = read_sales()
    drafts: dict[bytes, Draft] = {}
    for basket in baskets(newest(sales, LINES)):
        key, value = purchase_record(SHOP, basket, shift=now - sales.ends_at)
        drafts.setdefault(key, Draft(b"")).add(addition(decode_event(key, value, [])))
    redis = RedisConnection(redis_url)
    store = RedisProfileStore(redis)
    await store.save(
        [Write(name, NOTHING, draft.value()) for name, draft in drafts.items()], retention=KEPT
    )
    await redis.close()


def _rows(base: Bundle, size: int) -> NDArray[np.int64]:
    """Which product of the base each of ``size`` products is made from."""
    by_purchases = np.argsort(-base.popularity[1:], kind="stable") + 1
    return np.resize(by_purchases, size)


def _ids(base: Bundle, rows: NDArray[np.int64]) -> list[str]:
    count = len(base.vocabulary)
    return [
        base.vocabulary.product_id(row) + (f"-{place // count}" if place >= count else "")
        for place, row in enumerate(rows.tolist())
    ]


def _write_bundle(base: Bundle, rows: NDArray[np.int64], ids: list[str], target: Path) -> None:
    target.mkdir(parents=True)
    for name in ("encoder.onnx", "settings.json", "report.json"):
        shutil.copy(base.folder / name, target / name)
    write_json(target / "vocabulary.json", ids)
    np.save(target / "popularity.npy", _with_padding(base.popularity, rows))
    vectors = _write_vectors(base, rows, target)
    _write_neighbours(base, rows, target)
    _write_repeat(base, rows, target)
    _write_golden(base, vectors, target)
    seal(target, version=f"bench-{len(rows)}")


def _with_padding(column: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """The column's entries for ``rows``, behind that of padding."""
    return np.concatenate([column[:1], column[rows]])


def _write_vectors(
    base: Bundle, rows: NDArray[np.int64], target: Path
) -> FullVectors | CodedVectors:
    random = np.random.default_rng(1)
    table = base.item_vectors.rows(rows)
    copies = table[len(base.vocabulary) :]
    lengths = np.linalg.norm(copies, axis=1, keepdims=True) / np.sqrt(table.shape[1])
    copies += SPREAD * lengths * random.standard_normal(copies.shape, dtype=np.float32)
    padded = np.concatenate([np.zeros((1, table.shape[1]), np.float32), table])
    if len(rows) <= LARGE:
        np.save(target / "items.npy", padded.astype(np.float16))
        return FullVectors(padded.astype(np.float16))
    popularity = _with_padding(base.popularity, rows)
    books = codebooks(
        padded, popularity, bytes_for(table.shape[1]), seed=1, progress=lambda _: None
    )
    codes = encode(padded, books)
    np.save(target / "codes.npy", codes)
    np.save(target / "codebooks.npy", books)
    return CodedVectors(codes, books)


def _write_neighbours(base: Bundle, rows: NDArray[np.int64], target: Path) -> None:
    """The base's matrix among the first copies of its products."""
    near = base.neighbours
    assert near is not None
    place = np.zeros(len(base.vocabulary) + 1, np.int64)
    first = min(len(rows), len(base.vocabulary))
    place[rows[:first]] = np.arange(1, first + 1)
    owner = np.repeat(np.arange(len(near.starts) - 1), np.diff(near.starts))
    kept = (place[owner] > 0) & (place[near.items] > 0)
    one, other, weight = place[owner[kept]], place[near.items[kept]], near.weights[kept]
    order = np.lexsort((other, one))
    counts = np.bincount(one, minlength=len(rows) + 1)
    np.savez(
        target / "neighbours.npz",
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        items=other[order].astype(np.int32),
        weights=weight[order].astype(np.float16),
    )


def _write_repeat(base: Bundle, rows: NDArray[np.int64], target: Path) -> None:
    table = base.repeat
    assert table is not None
    made = {
        name: _with_padding(np.frombuffer(data, NUMBER), rows).tobytes()
        for name in ("again", "first")
        if (data := getattr(table, name))
    }
    write_json(target / "repeat.json", msgspec.structs.replace(table, **made))


def _write_golden(base: Bundle, vectors: FullVectors | CodedVectors, target: Path) -> None:
    golden = base.golden
    items = golden.items % vectors.size
    encoder = Encoder(replace(base, item_vectors=vectors))
    queries = encoder.encode_batch(items, golden.actions, golden.gaps, wanted=golden.wanted)
    top = np.stack([best(vectors.scores(query)[1:], TOP) + 1 for query in queries])
    np.savez(
        target / "golden.npz",
        items=items,
        actions=golden.actions,
        gaps=golden.gaps,
        wanted=golden.wanted,
        queries=queries,
        top10=top,
    )
