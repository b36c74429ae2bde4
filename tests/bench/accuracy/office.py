"""Reads Office: histories of Amazon 2018 with titles, a part of whose products is withheld."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_export.dataset import HELD_OUT, TRAIN, VALIDATION, Content, Ids, Prepared
from model_export.preparation.sources import STEP
from model_export.source import Source
from services.shared.bundle_files import sha256_of
from services.shared.model_input import PURCHASE
from services.shared.text_encoder import TextEncoder

ITEMS: Final = "Office_Products.item.json.gz"
VALID: Final = "Office_Products.valid.csv.gz"
TEST: Final = "Office_Products.test.csv.gz"


class Item(msgspec.Struct, frozen=True):
    """What is known of a product; the file's categories are empty."""

    title: str
    description: str
    brand: str


class Case(NamedTuple):
    """A line of the files: what a user bought, oldest first (ten at most), and then."""

    user: str
    history: tuple[int, ...]
    target: int


class Office(NamedTuple):
    """Products are numbered from 0, as in the files."""

    items: Sequence[Item]
    valid: Sequence[Case]
    test: Sequence[Case]
    sha256: str
    """Of the test file."""


def read(folder: Path) -> Office:
    """Read the three files. Raises ``ValueError`` where a product is missing."""
    with gzip.open(folder / ITEMS) as file:
        named = msgspec.json.decode(file.read(), type=dict[str, Item])
    numbers = range(len(named))
    if any(str(number) not in named for number in numbers):
        raise ValueError(f"{folder / ITEMS}: products are not numbered from 0 to {len(named) - 1}")
    items = [named[str(number)] for number in numbers]
    valid, test = (list(_cases(folder / name)) for name in (VALID, TEST))
    return Office(items, valid, test, sha256_of(folder / TEST))


def _cases(path: Path) -> Iterator[Case]:
    with gzip.open(path, "rt", newline="") as file:
        for line in csv.DictReader(file):
            history = msgspec.json.decode(line["history_item_id"], type=tuple[int, ...])
            yield Case(line["user_id"], history, int(line["item_id"]))


def withheld(office: Office, share: float, seed: int) -> NDArray[np.bool_]:
    """[items] which are withheld from training, drawn evenly."""
    count = len(office.items)
    drawn = np.random.default_rng(seed).permutation(count)[: round(share * count)]
    out = np.zeros(count, bool)
    out[drawn] = True
    return out


def learned_from(cases: Sequence[Case]) -> dict[str, tuple[int, ...]]:
    """What each user bought before the first of these lines' targets, oldest first."""
    first: dict[str, tuple[int, ...]] = {}
    for case in cases:
        first.setdefault(case.user, case.history)
    return first


def validating(office: Office) -> list[Case]:
    """The last line of each user whom only the validation file has."""
    tested = {case.user for case in office.test}
    last = {case.user: case for case in office.valid if case.user not in tested}
    return list(last.values())


def joined(older: tuple[int, ...], newer: tuple[int, ...]) -> tuple[int, ...]:
    """Both, where the end of one is the beginning of the other once."""
    shared = range(min(len(older), len(newer)), 0, -1)
    overlap = next((n for n in shared if older[-n:] == newer[:n]), 0)
    return older + newer[overlap:]


def content_of(office: Office, encoder: TextEncoder) -> Content:
    """Brand, and the vector of title and description."""
    names = sorted({f"brand:{each.brand}" for each in office.items if each.brand})
    numbers = {name: number for number, name in enumerate(names, 1)}
    features = [[numbers.get(f"brand:{each.brand}", 0)] for each in office.items]
    text = encoder.encode([each.title for each in office.items])
    return Content(names, np.array(features, np.int32), text.astype(np.float16), None, encoder.name)


def prepared(office: Office, content: Content, out: NDArray[np.bool_]) -> Prepared:
    """Interactions to learn from: what came before the first test target of each user.

    Users without one validate by their last purchase, see :func:`validating`. Rows of
    products that are ``out`` belong to the part held out: nothing is learned from them.
    """
    tested = learned_from(office.test)
    sequences: defaultdict[str, tuple[int, ...]] = defaultdict(tuple)
    for case in office.valid:
        sequences[case.user] = joined(sequences[case.user], (*case.history, case.target))
    for user, history in tested.items():
        sequences[user] = joined(sequences[user], history)
    width = len(str(len(office.items)))
    users = sorted(sequences)
    lengths = [len(sequences[user]) for user in users]
    items = np.concatenate([sequences[user] for user in users]).astype(np.int32)
    parts = np.where(out[items], HELD_OUT, TRAIN).astype(np.int8)
    for user, end in zip(users, np.cumsum(lengths), strict=True):
        if user not in tested:
            parts[end - 1] = VALIDATION
    at = np.concatenate([np.arange(length) for length in lengths]) * STEP
    return Prepared(
        users=np.repeat(np.arange(len(users), dtype=np.int32), lengths),
        items=items,
        at=at,
        actions=np.full(len(items), PURCHASE, np.int8),
        parts=parts,
        sessions=np.concatenate([np.arange(length) for length in lengths]).astype(np.int32),
        ids=Ids(
            users, [f"{n:0{width}}" for n in range(len(office.items))], [], [None] * len(users)
        ),
        source=_source(office, len(items), int(at.max())),
        content=content,
    )


def _source(office: Office, rows: int, last: int) -> Source:
    return Source(
        name="Office_Products",
        sha256=office.sha256,
        split="the files' own, by time",
        rows_read=rows,
        rows_kept=rows,
        left_out={},
        first_at=0,
        last_at=last,
        validation_from=0,
        held_out_from=0,
        catalogue_size=len(office.items),
    )
