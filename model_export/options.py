"""How options of the command line are made, for every command alike."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec

DATA: Final = Path("build/model/data")
PREPARED: Final = f"a prepared folder (default: {DATA})"


def settings_options(
    step: argparse.ArgumentParser,
    kind: type[msgspec.Struct],
    *,
    derived: Collection[str] = (),
) -> None:
    """An option for each field of a struct of settings, with the text that stands beside it."""
    described = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    for field in msgspec.structs.fields(kind):
        about = described[field.name]["description"]
        default = "derived from the data" if field.name in derived else field.default
        step.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=_yes_or_no if isinstance(field.default, bool) else type(field.default),
            metavar="YES/NO" if isinstance(field.default, bool) else _kind(field.default),
            help=f"{about} (default: {_shown(default)})",
        )


def _kind(value: object) -> str:
    return type(value).__name__.upper()


def _shown(value: object) -> object:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _yes_or_no(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise argparse.ArgumentTypeError(f"{text} is neither yes nor no")
    return text == "yes"


def folder_option(step: argparse.ArgumentParser, name: str, default: Path, what: str) -> None:
    """An option that names a folder."""
    step.add_argument(
        name, type=Path, default=default, metavar="FOLDER", help=f"{what} (default: {default})"
    )
