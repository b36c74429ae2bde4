"""What people read first: every link leads somewhere, and nothing is left to be filled in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "deploy/helm/attune/README.md",
]
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """What a link may name within a page, as its headings make it."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Files that are there, and headings that are in them."""
    for link in LINK.findall(page.read_text()):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_nothing_is_left_to_be_filled_in(page: Path) -> None:
    """No mark of a writer, no path of somebody's machine."""
    text = page.read_text()
    assert not re.search(r"@@|TODO|FIXME|XXX|\.\./shared", text)
    assert not re.search(r"(?<![\w.])/(work|home|root)/\w", text)


def test_every_kind_of_user_has_a_guide() -> None:
    """The README names each, and the way to it."""
    linked = LINK.findall((ROOT / "README.md").read_text())
    assert {"docs/producers.md", "docs/storefront.md"} <= set(linked)
    guides = {f"docs/guides/{path.name}" for path in (ROOT / "docs/guides").glob("*.md")}
    assert guides <= set(linked)
    assert {Path(guide).stem for guide in guides} == {
        "a-new-shop",
        "data-scientists",
        "experiments",
        "filters",
        "importing",
        "operators",
        "scenarios",
    }


def declared(pattern: str) -> set[str]:
    """What ``pattern`` captures in the services' source."""
    sources = [path.read_text() for path in (ROOT / "services").rglob("*.py")]
    return {name for source in sources for name in re.findall(pattern, source)}


def told(section: str) -> set[str]:
    """The names in the first columns of the tables of a section of the operators' guide."""
    text = (ROOT / "docs/guides/operators.md").read_text()
    body = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", body, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_operators_are_told_of_every_metric_and_of_no_other() -> None:
    """The tables of the guide have the names that the code declares."""
    kinds = declared(r"(?:Counter|Gauge|Histogram)\(\s*\"(\w+)\"")
    info = {f"{name}_info" for name in declared(r"Info\(\s*\"(\w+)\"")}
    assert told("Metrics") == kinds | info


def test_operators_are_told_of_every_log_event_and_of_no_other() -> None:
    """A name that stands in a log stands in the guide, with what it says."""
    assert told("Logs") == declared(r"_log\.\w+\(\s*\"(\w+)\"")
