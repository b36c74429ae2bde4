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
    guides = {f"docs/guides/{path.name}" for path in (ROOT / "docs/guides").glob("*.md")}
    assert guides <= set(linked)
    assert {Path(guide).stem for guide in guides} == {
        "data-scientists",
        "operators",
        "producers",
        "storefronts",
    }
