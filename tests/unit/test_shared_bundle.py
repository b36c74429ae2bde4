"""A model bundle is refused, with the file's name, where anything in it is not as it should be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from deploy.local.stack import BUNDLE
from model_export.exporting.verify import verify
from services.shared.bundle import FILES, load_bundle, sha256_of
from services.shared.encoder import Encoder, check_golden
from services.shared.errors import BundleRefused
from tests.tiny_bundle import make_bundle

VECTORS = {"mug": (1.0, 0.0), "cup": (1.0, 0.25), "lamp": (0.0, 1.0)}
LARGEST = 12_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle that is whole."""
    return make_bundle(tmp_path / "bundle", VECTORS)


def seal(folder: Path, **fields: object) -> None:
    """Put the present sums into the manifest, as somebody who means to deceive would."""
    path = folder / "manifest.json"
    manifest = msgspec.json.decode(path.read_bytes())
    manifest["files"] = {name: sha256_of(folder / name) for name in FILES}
    path.write_bytes(msgspec.json.encode({**manifest, **fields}))


def proven(folder: Path) -> None:
    """Load a bundle and prove its graph."""
    bundle = load_bundle(folder)
    check_golden(bundle, Encoder(bundle))


def test_a_whole_bundle_is_what_was_put_in(folder: Path) -> None:
    """Vectors, ids and padding come back as they were."""
    bundle = load_bundle(folder)
    assert list(bundle.vocabulary) == list(VECTORS)
    assert bundle.item_vectors[0].tolist() == [0, 0]
    assert bundle.item_vectors[bundle.vocabulary.index("cup")].tolist() == [1.0, 0.25]
    assert not bundle.item_vectors.flags.writeable
    proven(folder)


def edit_json(name: str, value: object) -> Callable[[Path], None]:
    return lambda folder: _write(folder / name, msgspec.json.encode(value))


def edit_array(name: str, array: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, array)


def edit_golden(**changed: np.ndarray) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        with np.load(folder / "golden.npz") as file:
            arrays = {name: file[name] for name in file.files}
        np.savez(folder / "golden.npz", **{**arrays, **changed})

    return edit


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


SETTINGS = {"max_length": 8, "dimensions": 2, "gap_buckets": 32}
TABLE = np.array([[0, 0], *VECTORS.values()], np.float16)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (edit_json("vocabulary.json", ["mug", "mug", "cup"]), "stands twice in the vocabulary"),
        (edit_json("vocabulary.json", ["mug"]), r"items\.npy is float16 \(4, 2\), expected"),
        (edit_json("vocabulary.json", {"mug": 1}), r"vocabulary\.json: Expected `array`"),
        (edit_json("settings.json", {**SETTINGS, "actions": {}}), "not those of this release"),
        (edit_json("settings.json", SETTINGS), r"settings\.json: .* missing required field"),
        (edit_array("items.npy", TABLE.astype(np.float32)), r"items\.npy is float32"),
        (edit_array("items.npy", TABLE[:, :1]), r"items\.npy is float16 \(4, 1\)"),
        (edit_array("items.npy", TABLE + 1), "row 0 is padding and must be zeros"),
        (edit_array("popularity.npy", np.zeros(3, np.int32)), r"popularity\.npy is int32 \(3,\)"),
        (lambda folder: _write(folder / "items.npy", b"x"), r"items\.npy is no NumPy file"),
        (lambda folder: _write(folder / "golden.npz", b"x"), "is no file of golden inputs"),
        (edit_golden(extra=TABLE), "is no file of golden inputs"),
        (edit_golden(queries=np.zeros((9, 2), np.float32)), r"golden\.npz: shapes are"),
        (edit_golden(items=np.full((32, 8), 9, np.int32)), "not in the vocabulary"),
        (edit_golden(queries=np.ones((32, 2), np.float32)), "golden input 0 differs by"),
        (edit_golden(queries=np.full((32, 2), np.nan, np.float32)), "golden input 0 differs by"),
        (edit_golden(top10=np.zeros((32, 3), np.int64)), "shares 0 of its 10 best"),
        (lambda folder: _write(folder / "encoder.onnx", b"x"), "ONNX Runtime cannot load it"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, edit: Callable[[Path], None], says: str) -> None:
    """Although every sum is right: the file, and what is wrong with it."""
    edit(folder)
    seal(folder)
    with pytest.raises(BundleRefused, match=says):
        proven(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_or_changed(folder: Path, name: str) -> None:
    """Each file is guarded by its sum."""
    with (folder / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleRefused, match=f"{name} has SHA-256 .*, the manifest says"):
        load_bundle(folder)
    (folder / name).unlink()
    with pytest.raises(BundleRefused, match=f"{name} is missing, but the manifest names it"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"schema": 2}, "schema is 2, this release reads 1"),
        ({"files": {"encoder.onnx": "0"}}, "the list of files is wrong about golden.npz"),
        ({"surprise": 1}, "unknown field `surprise`"),
    ],
)
def test_a_manifest_of_another_kind(folder: Path, fields: dict[str, object], says: str) -> None:
    """A later schema, other files and unknown fields are not guessed at."""
    seal(folder, **fields)
    with pytest.raises(BundleRefused, match=says):
        load_bundle(folder)


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    """An empty folder, and a manifest too large to be one."""
    with pytest.raises(BundleRefused, match=r"is missing: .* is no model bundle"):
        load_bundle(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(BundleRefused, match="is larger than 1048576 bytes"):
        load_bundle(tmp_path)


def test_a_graph_with_other_inputs(folder: Path) -> None:
    """A graph that takes something else is refused before it is asked anything."""
    graph = (folder / "encoder.onnx").read_bytes().replace(b"vectors", b"factors")
    _write(folder / "encoder.onnx", graph)
    seal(folder)
    with pytest.raises(BundleRefused, match=r"takes \['actions', 'factors', 'gaps'\], not"):
        proven(folder)


def test_the_committed_bundle_is_whole_and_small(tmp_path: Path) -> None:
    """It proves itself on this processor, too, from wherever it lies, and needs no torch."""
    assert sum(path.stat().st_size for path in BUNDLE.iterdir()) <= LARGEST
    shutil.copytree(BUNDLE, tmp_path / "model")
    verify(tmp_path / "model")
