"""A model bundle: a folder with all that serving needs of a model, and proof that it is whole.

::

    manifest.json     schema, version, what it was made from, SHA-256 of every other file
    settings.json     how inputs are encoded and scores blended; services.shared.bundle_settings
    vocabulary.json   product ids; the i-th from 1 on is product i
    popularity.npy    [n] int32; purchases in the last 28 days before the training data's end
    encoder.onnx      (vectors [B,L,d] f32, actions [B,L] i64, gaps [B,L] i64, wanted [B,A] f32)
                      → query [B,d] f32
    golden.npz        inputs with the outputs they had where the bundle was made
    report.json       how well it did on held-out weeks, beside its baselines

and of item vectors one of

    items.npy         [n,d] float16; row i is product i of the vocabulary, row 0 is padding: zeros
    codes.npy         [n,m] uint8, with codebooks.npy [m,256,d] float32, for a large catalogue;
                      services.shared.product_codes

and, if there,

    tower.onnx        (features [B,F] i64, text [B,k] f32) → vector [B,d] f32, with content.json;
                      services.shared.content_tower
    neighbours.npz    item-kNN as a sparse matrix; services.shared.neighbours
    repeat.json       what buying again adds to a score; services.shared.repeat
    card.md           the model card, and the same as a page, card.html

The score of a product is made by :mod:`services.shared.scores`. The graph takes gathered vectors,
so the table is stored once and a new product needs no new graph.

:func:`load_bundle`, and :mod:`services.shared.encoder` after it, raise BundleRefused with a
sentence that names the file; a server that was told to serve such a bundle does not start.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.shared.bundle_files import (
    check_array,
    check_size,
    check_sum,
    read_array,
    read_json,
    read_numbers,
)
from services.shared.bundle_settings import ModelSettings, read_settings
from services.shared.content_tower import ContentSettings, read_content
from services.shared.errors import BundleRefused
from services.shared.golden import Golden, read_golden
from services.shared.item_vectors import FullVectors, ItemVectors
from services.shared.model_input import Vocabulary
from services.shared.neighbours import Neighbours, read_neighbours
from services.shared.product_codes import CENTROIDS, CodedVectors
from services.shared.repeat import RepeatTable, read_repeat

SCHEMA: Final = 2
MANIFEST: Final = "manifest.json"
ALWAYS: Final = (
    "encoder.onnx",
    "vocabulary.json",
    "popularity.npy",
    "settings.json",
    "golden.npz",
    "report.json",
)
FULL: Final = ("items.npy",)
CODED: Final = ("codes.npy", "codebooks.npy")
TOWER: Final = ("tower.onnx", "content.json")
IF_THERE: Final = ("neighbours.npz", "repeat.json", "card.md", "card.html")
FILES: Final = (*ALWAYS, *FULL, *CODED, *TOWER, *IF_THERE)
"""What a manifest can name."""

GREATEST: Final = float(np.finfo(np.float16).max)
"""Of a number in an item's vector, also where it comes from a codebook."""
LONGEST_CODE: Final = 256
"""Bytes of a product's code."""
LONGEST_ID: Final = 128
"""Characters of a product id, as in the contracts."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bundle is and what it was made from; holds no time of day and no path."""

    schema: int
    version: str
    created_from: dict[str, str | int | float | bool]
    code_revision: str
    seed: int
    metrics: dict[str, float]
    files: dict[str, str]
    """File name → SHA-256 in hex, for each file of the bundle but this one."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A whole bundle, checked against its manifest."""

    folder: Path
    manifest: Manifest
    settings: ModelSettings
    vocabulary: Vocabulary
    item_vectors: ItemVectors
    """Of n products, padding counted."""
    popularity: NDArray[np.int32]
    """[n] purchases in the last 28 days before the training data's end."""
    golden: Golden
    report: dict[str, Any]
    content: ContentSettings | None
    """None where there is no content tower."""
    neighbours: Neighbours | None
    repeat: RepeatTable | None

    @property
    def encoder_path(self) -> Path:
        """Where the encoder's graph lies."""
        return self.folder / "encoder.onnx"

    @property
    def tower_path(self) -> Path:
        """Where the content tower's graph lies, if there is one."""
        return self.folder / "tower.onnx"


def load_bundle(folder: Path) -> Bundle:
    """Read and check the bundle in ``folder``. Raises BundleRefused."""
    manifest = _manifest(folder)
    for name, expected in manifest.files.items():
        check_sum(folder / name, expected)
    there = manifest.files.keys()
    settings = read_settings(folder / "settings.json")
    vocabulary = _vocabulary(folder / "vocabulary.json")
    rows = len(vocabulary) + 1
    popularity = read_array(folder / "popularity.npy", np.int32, (rows,))
    if popularity.min() < 0:
        raise BundleRefused(f"{folder / 'popularity.npy'}: counts cannot be below 0")
    content = read_content(folder / "content.json") if TOWER[0] in there else None
    bundle = Bundle(
        folder=folder,
        manifest=manifest,
        settings=settings,
        vocabulary=vocabulary,
        item_vectors=_item_vectors(folder, there, rows, settings.dimensions),
        popularity=popularity,
        golden=read_golden(folder / "golden.npz", rows, settings, content),
        report=read_json(folder / "report.json", dict[str, Any]),
        content=content,
        neighbours=(
            read_neighbours(folder / "neighbours.npz", rows) if "neighbours.npz" in there else None
        ),
        repeat=read_repeat(folder / "repeat.json", rows) if "repeat.json" in there else None,
    )
    _check_parts(bundle)
    return bundle


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleRefused(f"{path} is missing: {folder} is no model bundle")
    check_size(path)
    schema = read_json(path, dict[str, Any]).get("schema")
    if schema != SCHEMA:
        raise BundleRefused(
            f"{path}: schema is {schema}, this release reads {SCHEMA}; make the bundle again with "
            "'python -m model_export export'"
        )
    manifest = read_json(path, Manifest)
    named = manifest.files.keys()
    vectors = CODED if CODED[0] in named else FULL
    tower = TOWER if TOWER[0] in named else ()
    expected = {*ALWAYS, *vectors, *tower, *(named & set(IF_THERE))}
    if named != expected:
        odd = ", ".join(sorted(named ^ expected))
        raise BundleRefused(f"{path}: the list of files is wrong about {odd}")
    return manifest


def _vocabulary(path: Path) -> Vocabulary:
    ids = read_json(path, list[str])
    if not ids:
        raise BundleRefused(f"{path} names no product")
    if not all(0 < len(each) <= LONGEST_ID for each in ids):
        raise BundleRefused(f"{path}: a product id must have 1 to {LONGEST_ID} characters")
    try:
        return Vocabulary(ids)
    except ValueError as error:
        raise BundleRefused(f"{path}: {error}") from error


def _item_vectors(folder: Path, there: Set[str], rows: int, dimensions: int) -> ItemVectors:
    if FULL[0] in there:
        path = folder / FULL[0]
        table = read_array(path, np.float16, (rows, dimensions))
        if table[0].any():
            raise BundleRefused(f"{path}: row 0 is padding and must be zeros")
        return FullVectors(table)
    path = folder / CODED[1]
    books = read_numbers(path)
    length = len(books) if books.ndim else 0
    check_array(path, books, np.float32, (length, CENTROIDS, dimensions))
    if not 1 <= length <= LONGEST_CODE:
        raise BundleRefused(f"{path} has {length} codebooks, expected 1 to {LONGEST_CODE}")
    if np.abs(books).max() > GREATEST:
        raise BundleRefused(f"{path} has numbers beyond {GREATEST:g}, which would overflow")
    return CodedVectors(read_array(folder / CODED[0], np.uint8, (rows, length)), books)


def _check_parts(bundle: Bundle) -> None:
    """Refuse settings that speak of parts which the bundle has not, or the other way round."""
    path = bundle.folder / "settings.json"
    settings, blend = bundle.settings, bundle.settings.blend
    for name, weight, part in (
        ("neighbours", blend.neighbours, bundle.neighbours),
        ("repeat", blend.repeat, bundle.repeat),
    ):
        if (weight != 0) != (part is not None):
            raise BundleRefused(
                f"{path}: blend.{name} is {weight}, but the bundle has "
                f"{'its' if part is not None else 'no'} {name}"
            )
    if settings.text_encoder:
        known = bundle.content.text_encoder if bundle.content else ""
        if settings.text_encoder != known:
            raise BundleRefused(
                f"{path}: searches are turned into vectors by {settings.text_encoder}, but the "
                f"content tower takes those of {known or 'no text encoder'}"
            )
