"""Write the image of earlier contracts, which today's may add to and may not break.

``python proto/earlier.py build/earlier.binpb`` takes them from the git history: from the newest
tag that led here or, while there is none, from the revision in ``proto/baseline/revision``. A
committed image alone could be made anew and hide what it broke; a tag cannot. Where the history
does not reach back so far, as in a shallow clone, the image of that revision stands in,
``proto/baseline/contracts.binpb``, and a sentence says so.

``--renew`` makes the contracts of the last commit the earlier ones, for as long as no tag is newer.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from generate import ROOT
from image import write_image

BASELINE: Final = ROOT / "baseline"
REVISION: Final = BASELINE / "revision"
IMAGE: Final = BASELINE / "contracts.binpb"


class NoHistory(Exception):
    """There is no git here, or it does not know what it is asked for."""


def git(*words: str) -> bytes:
    """What git answers in ``proto/``. Raises NoHistory."""
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True)  # noqa: S603, S607 - the words are ours
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoHistory from error
    return done.stdout


def newest_tag() -> str | None:
    """The newest release that today's contracts came from."""
    try:
        return git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*").decode().strip()
    except NoHistory:
        return None


def write_image_of(revision: str, target: Path) -> None:
    """Compile the contracts as they were. Raises NoHistory."""
    packed = git("archive", "--format=tar", revision)
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as files:
            files.extractall(folder, filter="data")
        write_image(target, comments=False, root=Path(folder))


def write_earlier(target: Path) -> str:
    """Write the image; answers a sentence that says of what."""
    written_down = REVISION.read_text().strip()
    revision = newest_tag() or written_down
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_image_of(revision, target)
    except NoHistory:
        shutil.copyfile(IMAGE, target)
        return (
            f"contracts are compared with {IMAGE.relative_to(ROOT.parent)}, as the history here "
            f"lacks {revision} (in a shallow clone, `git fetch --unshallow --tags` brings it)"
        )
    return f"contracts are compared with those of {revision}"


def renew() -> str:
    """Write down the last commit that changed the contracts; answers it. Raises NoHistory."""
    revision = git("log", "-1", "--format=%H", "--", "attune").decode().strip()
    write_image_of(revision, IMAGE)
    REVISION.write_text(f"{revision}\n")
    return revision


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    doing = parser.add_mutually_exclusive_group(required=True)
    doing.add_argument("target", nargs="?", type=Path, help="the file to write")
    doing.add_argument("--renew", action="store_true", help="make the last commit's the earlier")
    told = parser.parse_args()
    print(renew() if told.renew else write_earlier(told.target))  # noqa: T201 - a command's answer
