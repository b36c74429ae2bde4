"""A bundle appears at once and whole, whatever is killed when."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from model_export.errors import BundleNotWritten
from model_export.exporting.placing import appearing
from services.shared.bundle import load_bundle
from tests.tiny_bundle import make_bundle
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
WRITER = """
import shutil, sys
from pathlib import Path
from model_export.exporting.placing import appearing
ready, target = Path(sys.argv[1]), Path(sys.argv[2])
while True:
    for source in ready.iterdir():
        with appearing(target) as made:
            for path in source.iterdir():
                shutil.copy(path, made)
"""
KILLS = 8
CHANGES = 100


def test_the_new_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """All of the old is gone, and nothing lies beside."""
    target = tmp_path / "deep/bundle"
    for name in ("one", "two"):
        with appearing(target) as made:
            (made / name).write_text(name)
            assert made.parent.parent == target.parent
        assert [path.name for path in target.iterdir()] == [name]
    assert [path.name for path in target.parent.iterdir()] == ["bundle"]


def test_after_an_error_everything_is_as_it_was(tmp_path: Path) -> None:
    """Whatever went wrong while it was filled."""
    target = tmp_path / "bundle"
    with appearing(target) as made:
        (made / "one").write_text("one")

    def fail() -> None:
        with appearing(target) as made:
            (made / "two").write_text("two")
            raise KeyError("two")

    with pytest.raises(KeyError):
        fail()
    assert [path.name for path in target.iterdir()] == ["one"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_disk_that_takes_no_more_is_said_in_words(tmp_path: Path) -> None:
    """The sentence names the place and what the system said."""
    target = tmp_path / "bundle"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "items.npy")
    said = pytest.raises(BundleNotWritten, match=r"bundle is as it was: .*No space left")
    with said, appearing(target):
        raise full
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleNotWritten, match="as it was"), appearing(tmp_path / "file/bundle"):
        pass


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, None])
def test_where_folders_cannot_be_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    """On such a system the old one is moved away first; the end is the same."""

    class NoExchange:
        """A C library that knows less."""

        if number is not None:

            def renameat2(self, *_: object) -> int:
                return -1

    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: NoExchange())
    monkeypatch.setattr("ctypes.get_errno", lambda: number)
    for name in ("one", "two"):
        with appearing(tmp_path / "bundle") as made:
            (made / name).write_text(name)
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == ["two"]


def test_whoever_looks_finds_the_old_or_the_new(tmp_path: Path) -> None:
    """At no moment of a hundred changes is there no folder of that name."""
    target = tmp_path / "bundle"
    with appearing(target) as made:
        (made / "manifest.json").write_text("0")
    done = threading.Event()
    missed: list[int] = []

    def look() -> None:
        looks = 0
        while not done.is_set():
            looks += 1
            if not (target / "manifest.json").exists():
                missed.append(looks)

    watcher = threading.Thread(target=look)
    watcher.start()
    for number in range(CHANGES):
        with appearing(target) as made:
            (made / "manifest.json").write_text(str(number))
    done.set()
    watcher.join()
    assert not missed


def test_whoever_writes_at_the_same_time_is_left_alone(tmp_path: Path) -> None:
    """Only what a dead process left is removed; the last to end is what stays."""
    target = tmp_path / "bundle"
    left = tmp_path / ".bundle-left"
    left.mkdir()
    with appearing(target) as one, appearing(target) as two:
        assert not left.exists()
        (one / "one").write_text("one")
        (two / "two").write_text("two")
    assert [path.name for path in target.iterdir()] == ["one"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def place_of(folder: Path) -> int:
    """Which folder it is that has this name now; 0 if none."""
    return folder.stat().st_ino if folder.exists() else 0


def moved_from(folder: Path, before: int) -> bool:
    """Whether another folder has this name now."""
    return place_of(folder) != before


def test_killed_at_any_moment_there_is_one_whole_bundle(tmp_path: Path) -> None:
    """A writer is killed (SIGKILL) again and again, at moments by chance."""
    for number in (1.0, 2.0):
        make_bundle(tmp_path / f"ready/{number}", {"mug": (number, 0.0), "cup": (0.0, number)})
    target = tmp_path / "place/bundle"
    chance = random.Random(9)
    for _ in range(KILLS):
        moved = partial(moved_from, target, place_of(target))
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "ready"), str(target)], cwd=ROOT
        )
        eventually(moved, within=30)
        time.sleep(chance.uniform(0, 0.02))
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
        assert len(load_bundle(target).vocabulary) == 2
    with appearing(target) as made:
        make_bundle(made, {"mug": (1.0, 0.0), "cup": (0.0, 1.0)})
    assert [path.name for path in target.parent.iterdir()] == ["bundle"]
