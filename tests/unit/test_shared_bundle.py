"""A model bundle is refused, with the file's name, where anything in it is not as it should be."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from deploy.local.told import BUNDLE
from model_export.evaluation.evaluate import Evaluation
from model_export.exporting.verify import verify
from services.shared.bundle import ALWAYS, FULL, load_bundle
from services.shared.encoder import Encoder, check_golden
from services.shared.errors import BundleRefused
from tests.tiny_bundle import DEFAULTS, add_neighbours, edit_golden, make_bundle, seal, write_json

VECTORS = {"mug": (1.0, 0.0), "cup": (1.0, 0.25), "lamp": (0.0, 1.0)}
LARGEST = 19_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle that is whole."""
    return make_bundle(tmp_path / "bundle", VECTORS)


def proven(folder: Path) -> None:
    """Load a bundle and prove its graph."""
    bundle = load_bundle(folder)
    check_golden(bundle, Encoder(bundle))


def test_a_whole_bundle_is_what_was_put_in(folder: Path) -> None:
    """Vectors, ids and padding come back as they were, from a table and from codes."""
    make_bundle(folder.with_name("coded"), VECTORS, coded=True)
    for each in (folder, folder.with_name("coded")):
        bundle = load_bundle(each)
        assert list(bundle.vocabulary) == list(VECTORS)
        found = bundle.item_vectors.directions(np.array([0, bundle.vocabulary.index("cup")]))
        assert np.allclose(found, [[0, 0], np.array([1.0, 0.25]) / 1.0625**0.5], atol=1e-3)
        proven(each)


def edit_json(name: str, value: object) -> Callable[[Path], None]:
    return lambda folder: write_json(folder / name, value)


def edit_array(name: str, array: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, array)


def edit_settings(**changed: object) -> Callable[[Path], None]:
    return lambda folder: write_json(
        folder / "settings.json", {**DEFAULTS, "dimensions": 2, **changed}
    )


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def promise(rows: int) -> bytes:
    """An .npy file whose header speaks of more rows than there are."""
    content = io.BytesIO()
    header = {"descr": "<f2", "fortran_order": False, "shape": (rows, 2)}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + bytes(8)


def bomb() -> bytes:
    """A small archive that unpacks to more than a file of golden inputs may have."""
    content = io.BytesIO()
    archive = zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("items.npy", "w") as file:
        for _ in range(257):
            file.write(bytes(1 << 20))
    return content.getvalue()


SETTINGS = {**DEFAULTS, "dimensions": 2}
TABLE = np.array([[0, 0], *VECTORS.values()], np.float16)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (edit_json("vocabulary.json", ["mug", "mug", "cup"]), "stands twice in the vocabulary"),
        (edit_json("vocabulary.json", ["mug"]), r"popularity\.npy is int32 \(4,\), expected"),
        (edit_json("vocabulary.json", {"mug": 1}), r"vocabulary\.json: Expected `array`"),
        (edit_json("vocabulary.json", []), "names no product"),
        (edit_json("vocabulary.json", ["mug", "", "x"]), "must have 1 to 128 characters"),
        (edit_json("vocabulary.json", ["mug", "x" * 129, "x"]), "must have 1 to 128 characters"),
        (lambda f: _write(f / "report.json", b"[" * 100_000), r"report\.json: "),
        (lambda f: _write(f / "report.json", b"\xff"), r"report\.json: "),
        (edit_json("settings.json", {**SETTINGS, "actions": {}}), "not those of this release"),
        (edit_json("settings.json", {"dimensions": 2}), "missing required field `max_length`"),
        (edit_settings(wanted=[1.0]), "wanted must be a share of 0 to 1 for each target"),
        (edit_settings(wanted=[0.5, 0, 0, 0.6]), "wanted must be a share"),
        (edit_settings(targets=["view", "view"]), "targets must be some of"),
        (edit_settings(reads=["pad"]), "reads must be some of"),
        (edit_settings(reads=["search"]), "searches are read with a text_encoder, and only then"),
        (edit_settings(reads=["search"], text_encoder="x"), "takes those of no text encoder"),
        (edit_settings(blend={"neighbours": 0.2}), "but the bundle has no neighbours"),
        (edit_settings(blend={"repeat": 1}), "but the bundle has no repeat"),
        (edit_settings(blend={"decay": 0}), r"Expected `float` > 0.0 - at `\$.blend.decay`"),
        (edit_settings(dimensions=0), "Expected `int` >= 1"),
        (edit_array("items.npy", TABLE.astype(np.float32)), r"items\.npy is float32"),
        (edit_array("items.npy", TABLE[:, :1]), r"items\.npy is float16 \(4, 1\)"),
        (edit_array("items.npy", TABLE + 1), "row 0 is padding and must be zeros"),
        (edit_array("items.npy", TABLE * np.float16(np.nan)), r"items\.npy has NaN or infinity at"),
        (edit_array("items.npy", TABLE * np.float16(np.inf)), r"items\.npy has NaN or infinity at"),
        (edit_array("items.npy", np.array(["x"], object)), r"items\.npy is no NumPy file"),
        (
            lambda f: np.save(f / "items.npy", np.asfortranarray(TABLE)),
            "does not begin as np.save writes numbers",
        ),
        (lambda f: _write(f / "items.npy", promise(1 << 60)), "promises .* bytes and has"),
        (edit_array("popularity.npy", np.full(4, -1, np.int32)), "counts cannot be below 0"),
        (edit_array("popularity.npy", np.zeros(3, np.int32)), r"popularity\.npy is int32 \(3,\)"),
        (lambda folder: _write(folder / "items.npy", b"x"), r"items\.npy is no NumPy file"),
        (lambda folder: _write(folder / "golden.npz", b"x"), r"golden\.npz is no NumPy archive"),
        (lambda f: _write(f / "golden.npz", bomb()), "unpacked it is larger than"),
        (edit_golden(extra=TABLE), r"golden\.npz has .*'extra'"),
        (edit_golden(queries=np.zeros((9, 2), np.float32)), "queries is float32 .9, 2., expected"),
        (edit_golden(items=np.full((32, 8), 9, np.int32)), "items has numbers that are not 0 to 3"),
        (edit_golden(items=np.zeros((0, 8), np.int32)), r"expected int64 \(0, 8\)"),
        (edit_golden(queries=np.ones((32, 2), np.float32)), "golden input 0 differs by"),
        (edit_golden(queries=np.full((32, 2), np.nan, np.float32)), "queries has NaN or infinity"),
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


@pytest.mark.parametrize("name", [*ALWAYS, *FULL])
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
        ({"schema": 1}, "schema is 1, this release reads 2; make the bundle again with 'python"),
        ({"schema": 3}, "schema is 3, this release reads 2"),
        ({"files": {"encoder.onnx": "0"}}, "the list of files is wrong about golden.npz"),
        ({"surprise": 1}, "unknown field `surprise`"),
    ],
)
def test_a_manifest_of_another_kind(folder: Path, fields: dict[str, object], says: str) -> None:
    """A later schema, other files and unknown fields are not guessed at."""
    seal(folder, **fields)
    with pytest.raises(BundleRefused, match=says):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda f: (f / "codebooks.npy").unlink(), "wrong about codebooks.npy"),
        (lambda f: np.save(f / "items.npy", TABLE), "wrong about items.npy"),
        (edit_array("codes.npy", np.zeros((4, 2), np.uint8)), r"codes\.npy is uint8 \(4, 2\)"),
        (edit_array("codes.npy", np.zeros((4, 1), np.int8)), r"codes\.npy is int8"),
        (
            edit_array("codebooks.npy", np.zeros((3, 256, 1), np.float32)),
            r"float32 \(3, 256, 2\)",
        ),
        (
            edit_array("codebooks.npy", np.zeros((0, 256, 2), np.float32)),
            "0 codebooks, expected",
        ),
        (
            edit_array("codebooks.npy", np.zeros((1, 9, 2), np.float32)),
            r"expected float32 \(1, 256",
        ),
        (edit_array("codebooks.npy", np.full((1, 256, 2), np.inf, np.float32)), "NaN or infinity"),
        (edit_array("codebooks.npy", np.full((1, 256, 2), 1e30, np.float32)), "would overflow"),
    ],
)
def test_what_is_wrong_with_codes(tmp_path: Path, edit: Callable[[Path], None], says: str) -> None:
    """Codes and codebooks belong together, and stand in place of the table."""
    folder = make_bundle(tmp_path / "bundle", VECTORS, coded=True)
    edit(folder)
    seal(folder)
    with pytest.raises(BundleRefused, match=says):
        proven(folder)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"starts": np.array([0, 1, 1, 2], np.int64)}, r"starts is int64 .* expected"),
        ({"starts": np.array([0, 2, 1, 2, 2], np.int64)}, "starts must rise"),
        ({"items": np.array([1, 4], np.int32)}, "names products that are not in the vocabulary"),
        ({"items": np.array([0, 1], np.int32)}, "names products that are not in the vocabulary"),
        ({"weights": np.array([np.inf, 1], np.float16)}, "weights has NaN or infinity"),
        ({"weights": np.array([1, 1], np.float64)}, "weights is float64"),
        ({"more": np.zeros(1)}, "not starts, items and weights"),
    ],
)
def test_what_is_wrong_with_neighbours(
    tmp_path: Path, changed: dict[str, np.ndarray], says: str
) -> None:
    """A sparse matrix of the vocabulary's products, with finite likenesses."""
    folder = make_bundle(tmp_path / "bundle", VECTORS, blend={"neighbours": 0.5})
    add_neighbours(folder, {1: {2: 0.5}, 3: {1: 0.25}}, rows=4)
    seal(folder)
    proven(folder)
    with np.load(folder / "neighbours.npz") as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(folder / "neighbours.npz", **{**arrays, **changed})
    seal(folder)
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
    with pytest.raises(BundleRefused, match=r"takes .'actions', 'factors', 'gaps', 'wanted'., not"):
        proven(folder)


def test_the_committed_bundle_is_whole_and_small(tmp_path: Path) -> None:
    """It proves itself on this processor, too, from wherever it lies, and needs no torch."""
    assert sum(path.stat().st_size for path in BUNDLE.iterdir()) <= LARGEST
    shutil.copytree(BUNDLE, tmp_path / "model")
    verify(tmp_path / "model")


@pytest.mark.parametrize("purchases", ["all", "new"])
def test_the_committed_bundle_is_ahead_of_every_baseline(purchases: str) -> None:
    """By the report that `make verify-model` computes again."""
    report = msgspec.json.decode((BUNDLE / "report.json").read_bytes(), type=Evaluation)
    ndcg = {row.method: row.ndcg.mean for row in report.rows if row.purchases == purchases}
    assert (len(ndcg), max(ndcg, key=ndcg.__getitem__)) == (4, "model")
