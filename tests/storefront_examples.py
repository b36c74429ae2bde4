"""The storefronts' examples as processes, made and started by the words of docs/storefront.md."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = (ROOT / "docs/storefront.md").read_text()
EXAMPLES: Final = ROOT / "docs/examples/storefront"
BUILT: Final = ROOT / "build/clients"
BUILDING: Final = 900
"""Seconds that the first building may take, as what it needs is downloaded and compiled."""


@dataclass(frozen=True)
class Language:
    """How the page calls a language, and what must be there to build its example."""

    heading: str
    shortest: str
    """The program that the page shows."""
    tools: Mapping[str, int] = field(default_factory=dict)
    """Programs and their oldest version."""


LANGUAGES: Final = {
    "python": Language("Python", "shortest.py"),
    "go": Language("Go", "shortest/main.go", {"go": 22}),
    "java": Language("Java", "src/main/java/storefront/Shortest.java", {"javac": 17, "mvn": 3}),
    "typescript": Language("TypeScript", "src/shortest.ts", {"node": 20, "npm": 9}),
}

VERSION: Final = {"go": ["version"], "javac": ["-version"]}
"""How a program is asked for its version, where not by ``--version``."""


def section(heading: str) -> str:
    """A chapter of the page."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def blocks(kind: str, text: str) -> list[str]:
    """What stands between fences of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def environment(told: Mapping[str, str]) -> dict[str, str]:
    """The present one, with this Python's programs before others, and nothing of the tests."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]])
    return {**environ, "PATH": path, **told}


def shell(
    words: str, folder: Path, told: Mapping[str, str] = {}, *, within: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run lines as a shell does that stops at the first that fails."""
    command = ["sh", "-eu", "-c", words]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(told),
        capture_output=True,
        text=True,
        timeout=within,
    )


@functools.cache
def lacking(language: str) -> str:
    """What of a language this machine does not have; nothing if empty."""
    for program, oldest in LANGUAGES[language].tools.items():
        if shutil.which(program) is None:
            return f"{program} is not installed"
        asked = [program, *VERSION.get(program, ["--version"])]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=60)
        number = re.search(r"\d+", re.sub(r"go1\.|\x1b\[\d*m", "", said.stdout + said.stderr))
        if number is None or int(number[0]) < oldest:
            return f"{program} is older than {oldest}"
    return ""


def skip_unless_clients_are_made() -> None:
    """What installs packages is run by ``make clients`` only."""
    if "ATTUNE_TEST_CLIENTS" not in os.environ:
        pytest.skip("make clients runs it, as it installs packages")


def skip_unless_wanted(language: str) -> None:
    """Python's is tested always, the others by ``make clients`` and where their tools are."""
    if LANGUAGES[language].tools:
        skip_unless_clients_are_made()
    if missing := lacking(language):
        pytest.skip(missing)


@functools.cache
def build(language: str) -> Path:
    """Make an example as the page says, once; answers its folder."""
    heading = LANGUAGES[language].heading
    shutil.rmtree(BUILT / language / "src", ignore_errors=True)  # of an older example
    for words in (blocks("sh", section("The contract"))[0], blocks("sh", section(heading))[0]):
        done = shell(words, ROOT, within=BUILDING)
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    return BUILT / language


@dataclass(frozen=True)
class Client:
    """A language's example, made."""

    language: str
    folder: Path

    def start(self, program: str, *words: str, **told: str) -> subprocess.CompletedProcess[str]:
        """Run ``storefront`` or ``shortest`` as the page does, with other words behind it."""
        (command,) = [
            line.partition(" 841")[0]
            for line in self.commands
            if re.search(rf"\b{program}(\.py|\.js)? 841$", line, re.IGNORECASE)
        ]
        return shell(f"{command} {' '.join(words)}", self.folder, told)

    @property
    def commands(self) -> Sequence[str]:
        """The lines by which the page starts the two programs."""
        heading = LANGUAGES[self.language].heading
        return blocks("sh", section(heading))[1].splitlines()
