"""Files that are empty, cut or spoiled: a code and a sentence with the file's name, always."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from model_export import prepared_folder
from model_export.__main__ import main
from model_export.dataset import About, Content
from model_export.errors import DataRefused
from model_export.training import checkpoint
from tests.export_parts import trained
from tests.model_parts import QUICK, by_time, rounds

Spoil = Callable[[bytes], bytes]

SPOILT: dict[str, Spoil] = {
    "empty": lambda _: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
}
WHERE = {".json": 0, ".npy": 8, ".npz": 4_000, ".parquet": -1}
"""The byte that is turned over: of JSON and tables a mark, of arrays the header or a number."""
CHECKPOINT = ("parameters.npz", "checkpoint.json")
PREPARED = (
    *("prepared.json", "features.json", "items.parquet", "users.parquet", "queries.parquet"),
    *("text_items.npy", "text_queries.npy", "interactions/00000.parquet"),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder with vectors of texts, and a checkpoint of it."""
    folder, data = tmp_path_factory.mktemp("damage"), by_time(rounds(users=20, days=12))
    text = np.ones((len(data.ids.items), 4), dtype=np.float16)
    features = np.ones((len(data.ids.items), 1), dtype=np.int32)
    content = Content(["brand:ours"], features, text, text[:0], "a test's")
    data = dataclasses.replace(data, content=content)
    prepared_folder.save(data, folder / "data")
    told = msgspec.structs.replace(QUICK, dimensions=8, epochs=1)
    checkpoint.save(*trained(data, told), folder / "checkpoint")
    return folder


@pytest.fixture
def there(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoiled."""
    return shutil.copytree(whole, tmp_path / "there")


def turned(path: Path) -> bytes:
    """The file with one byte turned over."""
    content = bytearray(path.read_bytes())
    content[WHERE[path.suffix]] ^= 0xFF
    return bytes(content)


def spoil(path: Path, how: str) -> None:
    path.write_bytes(turned(path) if how == "turned" else SPOILT[how](path.read_bytes()))


@pytest.mark.parametrize("how", [*SPOILT, "turned"])
@pytest.mark.parametrize("name", CHECKPOINT)
def test_a_spoilt_checkpoint(
    there: Path, name: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`export` ends with status 2 and says which file it is."""
    spoil(there / "checkpoint" / name, how)
    told = f"export {there}/data --checkpoint {there}/checkpoint --to {there}/bundle"
    assert main(told.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"DATA_REFUSED: {there}/checkpoint/{name} is no checkpoint of this")
    assert "train again" in said


@pytest.mark.parametrize("how", [*SPOILT, "turned"])
@pytest.mark.parametrize("name", PREPARED)
def test_a_spoilt_prepared_folder(
    there: Path, name: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`train` ends with status 2 and says which file it is."""
    spoil(there / "data" / name, how)
    assert main(f"train {there}/data --to {there}/new --dimensions 8 --epochs 1".split()) == 2
    assert capsys.readouterr().err.startswith(f"DATA_REFUSED: {there}/data/{name} ")
    assert not (there / "new").exists()


def test_a_table_with_any_byte_turned(there: Path) -> None:
    """It is refused, or read where the byte says nothing of its form; nothing else is raised."""
    path, refused = there / "data/items.parquet", 0
    content = path.read_bytes()
    for at in range(0, len(content), 3):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x04]) + content[at + 1 :])
        try:
            prepared_folder.load_about(there / "data")
        except DataRefused:
            refused += 1
    assert refused > 50


def test_vectors_of_other_products(there: Path) -> None:
    """A vector must be there for each product, in half precision."""
    for vectors in (np.ones((3, 4), np.float16), np.ones((8, 4), np.float32)):
        np.save(there / "data/text_items.npy", vectors)
        with pytest.raises(DataRefused, match=r"text_items.npy has float.* prepare the data again"):
            prepared_folder.load_about(there / "data")


def test_a_shard_of_another_folder(there: Path) -> None:
    """Numbers of users and products that the tables do not have are refused, not looked up."""
    other = by_time(rounds(users=20, days=12, items=9))
    prepared_folder.save(other, there / "other")
    shard = "interactions/00000.parquet"
    shutil.copy(there / "other" / shard, there / "data" / shard)
    with pytest.raises(DataRefused, match=r"00000.parquet does not belong to the tables beside"):
        prepared_folder.Shards(there / "data")[0]


def test_two_files_that_are_of_two_checkpoints(there: Path) -> None:
    """Parameters that do not fit the rest of the checkpoint are told with both names."""
    about: About = prepared_folder.load_about(there / "data")
    found = checkpoint.load(there / "checkpoint", about)[1]
    for changed in (
        msgspec.structs.replace(found, without_id=[99]),
        msgspec.structs.replace(
            found, architecture=msgspec.structs.replace(found.architecture, dimensions=16)
        ),
    ):
        (there / "checkpoint/checkpoint.json").write_bytes(msgspec.json.encode(changed))
        with pytest.raises(DataRefused, match=r"checkpoint.json and .*parameters.npz are no check"):
            checkpoint.load(there / "checkpoint", about)
