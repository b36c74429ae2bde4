"""A model bundle: a folder with all that serving needs of a model, and proof that it is whole.

::

    manifest.json     schema, version, what it was made from, SHA-256 of every other file
    encoder.onnx      (vectors [B,L,d] f32, actions [B,L] i64, gaps [B,L] i64) → query [B,d] f32
    items.npy         [n,d] float16; row i is product i of the vocabulary, row 0 is padding: zeros
    vocabulary.json   product ids; the i-th from 1 on is product i
    popularity.npy    [n] int32; purchases in the last 28 days before the training data's end
    settings.json     L, d, the buckets and actions the encoder was trained with
    golden.npz        inputs with the outputs they had where the bundle was made
    report.json       how well it did on held-out weeks, beside its baselines

The score of product i is ``query · items[i]``. The graph takes gathered vectors, so the
table is stored once and a new product needs no new graph.

:func:`load_bundle`, and :mod:`services.shared.encoder` after it, raise BundleRefused with a
sentence that names the file; a server that was told to serve such a bundle does not start.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.shared.errors import BundleRefused
from services.shared.model_input import ACTIONS, GAP_BUCKETS, Vocabulary

SCHEMA: Final = 1
FILES: Final = (
    "encoder.onnx",
    "items.npy",
    "vocabulary.json",
    "popularity.npy",
    "settings.json",
    "golden.npz",
    "report.json",
)
MANIFEST: Final = "manifest.json"
MANIFEST_LIMIT: Final = 1 << 20
FILE_LIMIT: Final = 1 << 30
TOP: Final = 10
GOLDEN_LEAST: Final = 32
UNREADABLE: Final = (ValueError, OSError, EOFError, zipfile.BadZipFile)
"""What NumPy raises for a file that is none of its own."""

T = TypeVar("T")


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bundle is and what it was made from; holds no time of day and no path."""

    schema: int
    version: str
    created_from: dict[str, str | int | float | bool]
    code_revision: str
    seed: int
    metrics: dict[str, float]
    files: dict[str, str]
    """File name → SHA-256 in hex, for each of :data:`FILES`."""


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How inputs must be encoded for this model."""

    max_length: int
    dimensions: int
    gap_buckets: int
    actions: dict[str, int]


@dataclass(frozen=True, slots=True)
class Golden:
    """Inputs and what they gave where the bundle was made; G of them, of length L."""

    items: NDArray[np.int32]
    """[G, L] indices."""
    actions: NDArray[np.int64]
    """[G, L]."""
    gaps: NDArray[np.int64]
    """[G, L]."""
    queries: NDArray[np.float32]
    """[G, d]."""
    top10: NDArray[np.int64]
    """[G, 10] indices, best first."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A whole bundle, checked against its manifest."""

    manifest: Manifest
    vocabulary: Vocabulary
    item_vectors: NDArray[np.float32]
    """[n, d], C-contiguous, read-only; row 0 (padding) is zeros."""
    popularity: NDArray[np.int32]
    """[n] purchases in the last 28 days before the training data's end."""
    settings: ModelSettings
    golden: Golden
    report: dict[str, Any]
    encoder_path: Path


def load_bundle(folder: Path) -> Bundle:
    """Read and check the bundle in ``folder``. Raises BundleRefused."""
    manifest = _manifest(folder)
    for name in FILES:
        _check_sum(folder / name, manifest.files[name])
    settings = _settings(folder / "settings.json")
    vocabulary = _vocabulary(folder / "vocabulary.json")
    rows = len(vocabulary) + 1
    vectors = _array(folder / "items.npy", np.float16, (rows, settings.dimensions))
    popularity = _array(folder / "popularity.npy", np.int32, (rows,))
    item_vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    item_vectors.setflags(write=False)
    if item_vectors[0].any():
        raise BundleRefused(f"{folder / 'items.npy'}: row 0 is padding and must be zeros")
    return Bundle(
        manifest=manifest,
        vocabulary=vocabulary,
        item_vectors=item_vectors,
        popularity=popularity,
        settings=settings,
        golden=_golden(folder / "golden.npz", rows, settings),
        report=_json(folder / "report.json", dict[str, Any]),
        encoder_path=folder / "encoder.onnx",
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleRefused(f"{path} is missing: {folder} is no model bundle")
    if path.stat().st_size > MANIFEST_LIMIT:
        raise BundleRefused(f"{path} is larger than {MANIFEST_LIMIT} bytes")
    schema = _json(path, dict[str, Any]).get("schema")
    if schema != SCHEMA:
        raise BundleRefused(f"{path}: schema is {schema}, this release reads {SCHEMA}")
    manifest = _json(path, Manifest)
    if set(manifest.files) != set(FILES):
        odd = ", ".join(sorted(set(manifest.files) ^ set(FILES)))
        raise BundleRefused(f"{path}: the list of files is wrong about {odd}")
    return manifest


def _check_sum(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BundleRefused(f"{path} is missing, but the manifest names it")
    if path.stat().st_size > FILE_LIMIT:
        raise BundleRefused(f"{path} is larger than {FILE_LIMIT} bytes")
    try:
        found = sha256_of(path)
    except OSError as error:
        raise BundleRefused(f"{path} cannot be read: {error.strerror}") from error
    if found != expected:
        raise BundleRefused(f"{path} has SHA-256 {found}, the manifest says {expected}")


def _json(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        raise BundleRefused(f"{path}: {error}") from error


def _settings(path: Path) -> ModelSettings:
    settings = _json(path, ModelSettings)
    if settings.actions != ACTIONS or settings.gap_buckets != GAP_BUCKETS:
        raise BundleRefused(f"{path}: actions or gap buckets are not those of this release")
    if not (1 <= settings.max_length <= 10_000 and 1 <= settings.dimensions <= 10_000):
        raise BundleRefused(f"{path}: max_length and dimensions must be 1 to 10,000")
    return settings


def _vocabulary(path: Path) -> Vocabulary:
    try:
        return Vocabulary(_json(path, list[str]))
    except ValueError as error:
        raise BundleRefused(f"{path}: {error}") from error


def _array(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise BundleRefused(f"{path} is no NumPy file: {error}") from error
    if array.dtype != dtype or array.shape != shape:
        raise BundleRefused(
            f"{path} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}"
        )
    return array


def _golden(path: Path, rows: int, settings: ModelSettings) -> Golden:
    try:
        with np.load(path, allow_pickle=False) as file:
            golden = Golden(**{name: file[name] for name in file.files})
    except (*UNREADABLE, TypeError) as error:
        raise BundleRefused(f"{path} is no file of golden inputs: {error}") from error
    count, length = len(golden.items), settings.max_length
    top = min(TOP, rows - 1)
    shapes = [getattr(golden, name).shape for name in Golden.__slots__]
    wanted = [(count, length)] * 3 + [(count, settings.dimensions), (count, top)]
    if shapes != wanted or count < GOLDEN_LEAST:
        raise BundleRefused(f"{path}: shapes are {shapes}, expected {wanted} with 32 rows or more")
    if golden.items.min() < 0 or golden.items.max() >= rows:
        raise BundleRefused(f"{path}: names products that are not in the vocabulary")
    return golden
