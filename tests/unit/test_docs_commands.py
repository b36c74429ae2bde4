"""What the documentation tells model_export, the command line takes."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from model_export.cli import parser
from model_export.settings import DERIVED
from model_export.training import rules
from tests.pages import blocks

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINE = re.compile(r"^(?:\$ )?(?:env .* -m )?model_export ([a-z].*)$", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
COMMANDS = ("prepare", "train", "export", "evaluate", "verify", "promote", "learning-curve", "plan")
OF_OTHERS = {"--help", "--no-deps"}
"""What every command has, and pip's."""


@pytest.fixture(scope="module")
def options() -> Mapping[str, set[str]]:
    """The options of each command, as ``--help`` lists them."""
    return {command: options_of(command) for command in COMMANDS}


def options_of(command: str) -> set[str]:
    actions = parser()._actions
    steps = next(each for each in actions if isinstance(each, argparse._SubParsersAction))
    return set(OPTION.findall(steps.choices[command].format_usage()))


def told(text: str) -> list[str]:
    """The command lines of a page, without the program's name."""
    return [line for block in blocks(text) for line in LINE.findall(block.replace("\\\n", " "))]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if told(page.read_text())], ids=lambda page: page.stem
)
def test_every_command_line_of_a_page_is_one(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real parser takes it, so no option is misspelt or gone."""
    for line in told(page.read_text()):
        try:
            parser().parse_args(shlex.split(line, comments=True))
        except SystemExit:
            pytest.fail(f"{page.name}: {line}: {capsys.readouterr().err}")


def test_the_guide_has_command_lines_to_look_at() -> None:
    """Of every command."""
    found = told((ROOT / "docs/guides/data-scientists.md").read_text())
    assert {line.split()[0] for line in found} == set(COMMANDS)


@pytest.mark.parametrize("name", ["guides/data-scientists.md", "another-domain.md", "model.md"])
def test_every_option_that_is_named_exists(name: str, options: Mapping[str, set[str]]) -> None:
    """Where a command stands before it in the same code, it is that command's."""
    text = (ROOT / "docs" / name).read_text()
    anyone = {option for each in options.values() for option in each} | OF_OTHERS
    for code in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        command, *_ = code.split() or [""]
        for option in OPTION.findall(code):
            assert option in options.get(command, anyone) | OF_OTHERS, code


def test_the_guide_tells_every_rule() -> None:
    """By which settings are derived from data: each has its row, with the numbers of the code."""
    text = (ROOT / "docs/guides/data-scientists.md").read_text()
    rows = dict(re.findall(r"^\| `--([a-z-]+)` \| (.+) \|$", text, re.MULTILINE))
    assert {name.replace("-", "_") for name in rows} == DERIVED
    for name, number in (
        ("dimensions", f"from {rules.WIDE_FROM:,} on"),
        ("recall", f"yes from {100 * rules.REPEATED:.0f} % of all on"),
        ("id-dropout", f"fewer than {rules.FEW},"),
        ("batch-rows", f"fewer than {8 * rules.STEPS:,},"),
        ("epochs", f"make {rules.STEPS:,} steps"),
    ):
        assert number in rows[name]
