"""API keys: made, kept as hashes, verified."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from services.shared.errors import BadSetting, Unauthenticated
from services.shared.identity import FILE_LIMIT, add_key, read_keys

SCOPES = ("recommendations.read", "profiles.read")


def test_a_made_key_is_known_by_its_shop_and_scopes(tmp_path: Path) -> None:
    """A key that was made opens its shop with its scopes, and no other scope."""
    text = add_key(tmp_path / "keys.json", shop_id="demo", scopes=SCOPES)
    key = read_keys(tmp_path / "keys.json").verify(f"Bearer {text}")
    assert key.shop_id == "demo"
    assert key.may("profiles.read")
    assert not key.may("profiles.write")


def test_the_file_keeps_no_key_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """The keys file has mode 0600 and holds hashes, never a key."""
    path = tmp_path / "keys.json"
    text = add_key(path, shop_id="demo", scopes=SCOPES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text not in path.read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.json"]


def test_keys_are_added_beside_those_there_are(tmp_path: Path) -> None:
    """A second key of a shop gets a name of its own, and the first one stays."""
    path = tmp_path / "keys.json"
    texts = [add_key(path, shop_id="demo", scopes=SCOPES) for _ in range(4)]
    keys = read_keys(path)
    assert len({keys.verify(f"Bearer {text}").key_id for text in texts}) == 4


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic {key}",
        "{key}",
        "Bearer {key}x",
        "Bearer  {key}",
        "Bearer {wrong}",
        "Bearer attune_nobody_" + "a" * 43,
        "Bearer " + "a" * 100_000,
        b"Bearer \xff\xfe",
        "Bearer {key}\n",
    ],
)
def test_anything_else_is_not_a_key(tmp_path: Path, header: str | bytes | None) -> None:
    """Only ``Bearer`` and a whole known key is let in; the refusal repeats nothing of it."""
    text = add_key(tmp_path / "keys.json", shop_id="demo", scopes=SCOPES)
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    if isinstance(header, str):
        header = header.replace("{key}", text).replace("{wrong}", wrong)
    with pytest.raises(Unauthenticated) as refusal:
        read_keys(tmp_path / "keys.json").verify(header)
    assert text[-43:] not in str(refusal.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"keys": 1}',
        b'{"keys": [], "more": 1}',
        b'{"keys": [{"key_id": "a", "shop_id": "A!", "scopes": [], "sha256": "00"}]}',
        b'{"keys": [{"key_id": "a", "shop_id": "b", "scopes": [], "sha256": "00"}]}',
        b"\xff\xfe",
        b" " * (FILE_LIMIT + 1),
    ],
)
def test_a_damaged_keys_file_stops_the_start(tmp_path: Path, content: bytes) -> None:
    """What is not a keys file is refused with a sentence that names the file."""
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    with pytest.raises(BadSetting, match=str(path)):
        read_keys(path)


def test_a_key_id_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    """Two keys of one name cannot both be meant."""
    path = tmp_path / "keys.json"
    add_key(path, shop_id="demo", scopes=SCOPES, key_id="one")
    with pytest.raises(BadSetting, match="already"):
        add_key(path, shop_id="demo", scopes=SCOPES, key_id="one")
    entry = path.read_text().split("[", 1)[1].rsplit("]", 1)[0]
    path.write_text('{"keys": [' + entry + "," + entry + "]}")
    with pytest.raises(BadSetting, match="twice"):
        read_keys(path)


def test_a_missing_file_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    """No file, and no place to write one, are each said in one sentence."""
    with pytest.raises(BadSetting, match=r"gone\.json"):
        read_keys(tmp_path / "gone.json")
    with pytest.raises(BadSetting, match="cannot be written"):
        add_key(tmp_path / "no" / "keys.json", shop_id="demo", scopes=SCOPES)


@pytest.mark.parametrize(("shop", "scope"), [("Demo!", "a.b"), ("demo", "everything"), ("", "a.b")])
def test_a_key_for_a_malformed_shop_or_scope_is_not_made(
    tmp_path: Path, shop: str, scope: str
) -> None:
    """A shop or scope that could never match anything is refused when the key is made."""
    with pytest.raises(BadSetting):
        add_key(tmp_path / "keys.json", shop_id=shop, scopes=[scope])
    assert not (tmp_path / "keys.json").exists()


def test_the_command_prints_the_key_once(tmp_path: Path) -> None:
    """``new`` prints exactly the key; a mistake is one sentence and status 1."""
    path = tmp_path / "keys.json"
    command = [sys.executable, "-m", "services.shared.identity", "new", "--file", str(path)]
    made = subprocess.run(
        [*command, "--shop", "demo", "--scopes", "profiles.read, recommendations.read"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    key = read_keys(path).verify(f"Bearer {made.stdout.strip()}")
    assert set(key.scopes) == set(SCOPES)
    failed = subprocess.run(
        [*command, "--shop", "Not A Shop", "--scopes", "a.b"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("BAD_SETTING: ")
    assert "Traceback" not in failed.stderr
