"""A shop's files and the import command, for tests of both."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from services.events.adapters.import_folder import PROGRESS, REJECTS
from services.events.domain.mapping import FileMapping, read_mapping
from services.events.domain.rows import Cell, EventMaker, Made, Row
from services.events.settings import IMPORT_PREFIX

COLUMNS = (
    "action",
    "occurred_at",
    "user_id",
    "product_id",
    "quantity",
    "order_id",
    "unit_price",
    "currency",
)
AT = "2021-03-01T09:30:00Z"


def view(number: int, **more: str) -> dict[str, str]:
    """A row: a look at a product, years ago."""
    told = {"action": "view", "occurred_at": AT, "user_id": f"u{number % 100}"}
    return {**told, "product_id": f"p{number}", **more}


def line(order: int | str, number: int = 0, **more: str) -> dict[str, str]:
    """A row: a line of an order, years ago."""
    told = {"action": "purchase", "occurred_at": AT, "user_id": "ana", "order_id": f"o{order}"}
    return {**told, "product_id": f"p{number}", "quantity": "2", **more}


def write_csv(path: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    """A file with our own columns."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def made(
    rows: Iterable[Mapping[str, Cell]], mapping: str = "", shop_id: str = "demo"
) -> list[Made]:
    """What becomes of rows that have just these cells."""
    told = list(rows)
    some = [Row(n, {k: v for k, v in cells.items() if v}, n) for n, cells in enumerate(told, 1)]
    columns = list(dict.fromkeys(name for cells in told for name in cells))
    return list(maker(read_mapping(mapping), columns, shop_id).made(some))


def maker(mapping: FileMapping, columns: Sequence[str], shop_id: str = "demo") -> EventMaker:
    """What makes events of a file with these columns."""
    return EventMaker(mapping, mapping.taken_from(columns), shop_id=shop_id)


def start(*arguments: str, folder: Path, settings: Mapping[str, str]) -> subprocess.Popen[str]:
    """The command, with settings and nothing else of ours in its environment."""
    path = ":".join(str(Path(each).resolve()) for each in sys.path if each)
    return subprocess.Popen(
        [sys.executable, "-m", "services.events", "import", *arguments],
        env={"PYTHONPATH": path, **{IMPORT_PREFIX + name: told for name, told in settings.items()}},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    *arguments: str, folder: Path, settings: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Status, output and errors of the command once it has ended."""
    process = start(*arguments, folder=folder, settings=settings or {})
    try:
        output, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, output, errors


def rows_done(folder: Path) -> int:
    """How many rows an import's progress has, over all files."""
    path = folder / PROGRESS
    if not path.exists():
        return 0
    return sum(file["rows"] for file in json.loads(path.read_text())["files"].values())


def rejects(folder: Path) -> list[dict[str, Any]]:
    """What an import refused."""
    return [json.loads(text) for text in (folder / REJECTS).read_text().splitlines()]
