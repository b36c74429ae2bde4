"""Contracts may grow, and break nothing of an earlier revision in the git history."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).parents[2]
RECOMMENDATIONS = "attune/recommendations/v1/recommendation_service.proto"
WRITTEN_DOWN = "baseline/revision"
IDENTITY = {
    f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}
BUF = shutil.which("buf") or str(Path(sys.prefix) / "bin/buf")


class Checkout:
    """A checkout of nothing but ``proto/``, with a history of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *words: str) -> str:
        command = ["git", "-c", "commit.gpgsign=false", *words]
        environ = {**os.environ, **IDENTITY}
        done = subprocess.run(
            command, cwd=self.folder, env=environ, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Change")
        return self.git("rev-parse", "HEAD")

    def change(self, name: str, old: str, new: str) -> None:
        path = self.folder / "proto" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def write_down(self, revision: str) -> None:
        (self.folder / "proto" / WRITTEN_DOWN).write_text(f"{revision}\n")

    def image(self, script: str) -> tuple[str, Path]:
        """What a script of ``proto/`` says, and the image that it has written."""
        target = self.folder / "build" / f"{script}.binpb"
        told = [sys.executable, f"proto/{script}.py", str(target)]
        done = subprocess.run(told, cwd=self.folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout, target

    def check(self) -> tuple[int, str, str]:
        """As ``make check-proto`` does: buf's status, its words, and with what it compared."""
        said, earlier = self.image("earlier")
        _, present = self.image("image")
        config = ["--config", str(self.folder / "proto/buf.yaml"), "--path", "attune"]
        told = [BUF, "breaking", str(present), "--against", str(earlier), *config]
        done = subprocess.run(told, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, said


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """Today's contracts, committed once; that commit is written down, and not committed."""
    shutil.copytree(
        ROOT / "proto", tmp_path / "proto", ignore=shutil.ignore_patterns("__pycache__")
    )
    checkout = Checkout(tmp_path)
    checkout.git("init", "--quiet", "--initial-branch", "main")
    checkout.write_down(checkout.commit())
    return checkout


def remove_a_field(checkout: Checkout) -> None:
    checkout.change(RECOMMENDATIONS, "string title = 3;", "")


def test_a_field_that_is_gone_is_refused_by_name(checkout: Checkout) -> None:
    """It is compared with the revision that is written down, as there is no tag."""
    status, words, said = checkout.check()
    assert (status, words) == (0, "")
    assert (checkout.folder / "proto" / WRITTEN_DOWN).read_text().strip() in said
    remove_a_field(checkout)
    status, words, _ = checkout.check()
    assert status != 0
    assert '"title"' in words
    assert "RankedProduct" in words


def test_a_field_that_is_new_is_taken(checkout: Checkout) -> None:
    """Contracts grow; that is no break."""
    checkout.change(
        RECOMMENDATIONS, "string title = 3;", "string title = 3;\n  string subtitle = 99;"
    )
    assert checkout.check()[0] == 0


def test_the_newest_tag_wins_over_what_is_written_down(checkout: Checkout) -> None:
    """Nobody can hide from a release what broke it by writing down a later revision."""
    checkout.git("tag", "v1.0.0")
    remove_a_field(checkout)
    checkout.write_down(checkout.commit())
    status, words, said = checkout.check()
    assert "v1.0.0" in said
    assert status != 0
    assert '"title"' in words
    checkout.git("tag", "v2.0.0")
    assert checkout.check()[::2] == (0, "contracts are compared with those of v2.0.0\n")


def test_a_shallow_clone_takes_the_committed_image_and_says_so(
    checkout: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It refuses as well, and says how to get the history."""
    checkout.commit()
    folder = tmp_path_factory.mktemp("shallow")
    checkout.git("clone", "--quiet", "--depth", "1", f"file://{checkout.folder}", str(folder))
    shallow = Checkout(folder)
    assert shallow.git("rev-list", "--count", "HEAD") == "1"
    status, _, said = shallow.check()
    assert status == 0
    assert "compared with proto/baseline/contracts.binpb" in said
    assert "git fetch --unshallow" in said
    remove_a_field(shallow)
    assert shallow.check()[0] != 0


def test_what_is_no_clone_is_compared_with_the_committed_image(checkout: Checkout) -> None:
    """An unpacked archive of the sources has no history at all."""
    shutil.rmtree(checkout.folder / ".git")
    remove_a_field(checkout)
    status, words, said = checkout.check()
    assert "compared with proto/baseline/contracts.binpb" in said
    assert status != 0
    assert '"title"' in words


def test_renewing_writes_down_the_last_commit_that_changed_contracts(checkout: Checkout) -> None:
    """Image and revision come from the history, whatever lies in the folder uncommitted."""
    changed = (checkout.folder / "proto" / WRITTEN_DOWN).read_text()
    checkout.commit()
    remove_a_field(checkout)
    told = [sys.executable, "proto/earlier.py", "--renew"]
    subprocess.run(told, cwd=checkout.folder, check=True, capture_output=True, timeout=60)
    assert (checkout.folder / "proto" / WRITTEN_DOWN).read_text() == changed
    assert checkout.check()[0] != 0
    shutil.rmtree(checkout.folder / ".git")
    assert checkout.check()[0] != 0


def test_the_committed_image_is_that_of_the_revision_that_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it makes no difference which of the two is taken; today's contracts break neither."""
    assert Checkout(ROOT).check()[0] == 0
    monkeypatch.syspath_prepend(ROOT / "proto")
    from earlier import IMAGE, REVISION, NoHistory, write_image_of

    with suppress(NoHistory):  # a shallow clone lacks the revision
        write_image_of(REVISION.read_text().strip(), tmp_path / "image")
        assert ours(IMAGE) == ours(tmp_path / "image")


def ours(image: Path) -> list[FileDescriptorProto]:
    """The contracts of an image, without what they import."""
    files = FileDescriptorSet.FromString(image.read_bytes()).file
    return [file for file in files if file.package.startswith("attune")]
