"""The import table of docs/architecture.md, held to the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    ["model_export", "deploy.local"]
    + [f"services.{p.name}" for p in (ROOT / "services").iterdir() if (p / "__init__.py").exists()]
)


def allowed() -> dict[str, set[str]]:
    """The table's rows: a package and what it may import."""
    text = (ROOT / "docs/architecture.md").read_text()
    table = text.split("| importer | may import |")[1].split("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    return {re.findall("`(.+?)`", a)[0]: set(re.findall("`(.+?)`", b)) for a, b in rows}


def package_of(module: str) -> str | None:
    """Which of our packages a dotted name is in."""
    return next((p for p in PACKAGES if module == p or module.startswith(p + ".")), None)


def imported(package: str) -> set[str]:
    """Our other packages that the package's modules import, anywhere in them."""
    found: set[str] = set()
    for path in (ROOT / package.replace(".", "/")).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            found |= {p for name in names if (p := package_of(name)) and p != package}
    return found


def test_table_names_every_package() -> None:
    """Each package of ours has its row, and no row is about a package that is gone."""
    assert sorted(allowed()) == PACKAGES


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_are_those_of_the_table(package: str) -> None:
    """A package imports what the table allows, and the table allows nothing it does not use."""
    assert imported(package) == allowed()[package]
