"""The guide to scenarios, held to the structs and to the parser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeGuard, get_args, get_origin

import msgspec
import pytest

from services.recommendations.checking import check
from services.recommendations.domain.scenario import READY, Scenario, Scenarios
from services.recommendations.domain.scenario_document import read_scenarios
from services.recommendations.domain.sources import SOURCES

GUIDE: Final = (Path(__file__).parents[2] / "docs/guides/scenarios.md").read_text()
EXAMPLES: Final = re.findall(r"^```yaml\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
REQUIRED: Final = "required"


def rows(section: str, number: int = 0) -> list[list[str]]:
    """The cells of the ``number``-th table of a section."""
    body = GUIDE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE)
    lines = tables[number].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def keys(kind: type[msgspec.Struct], before: str = "") -> Iterator[tuple[str, str]]:
    """Each key of a struct with its default, in JSON; those of structs within it in their place."""
    for field in msgspec.structs.fields(kind):
        name, inner = before + field.encode_name, bare(field.type)
        default = field.default if field.default_factory is msgspec.NODEFAULT else {}
        if is_struct(inner):
            yield from keys(inner, f"{name}.")
            continue
        yield name, REQUIRED if field.required else json.dumps(msgspec.to_builtins(default))
        part = bare(get_args(inner)[0]) if get_origin(inner) is tuple else None
        if is_struct(part):
            yield from keys(part, f"{name}[].")


def bare(kind: Any) -> Any:
    """Without its limits."""
    return get_args(kind)[0] if hasattr(kind, "__metadata__") else kind


def is_struct(kind: Any) -> TypeGuard[type[msgspec.Struct]]:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def test_the_table_of_keys_is_that_of_the_structs() -> None:
    """Every key with its default, in the struct's order, and no other."""
    told = [(name.strip("`"), default.strip("`")) for name, default, _ in rows("A document", 1)]
    assert told == list(keys(Scenario))


def test_the_table_of_a_documents_keys_is_that_of_the_struct() -> None:
    """The experiments' own keys are told elsewhere."""
    told = [(name.strip("`"), default.strip("`")) for name, default, _ in rows("A document")]
    assert told == [
        (name, default) for name, default in keys(Scenarios) if "[" not in name and "." not in name
    ]


def test_the_table_of_what_comes_ready_is_that_of_the_code() -> None:
    """Names and sources, in their order."""
    table = re.findall(r"^\| `([a-z-]+)` \| (`.*?`) \|", GUIDE.split("\n## ")[0], re.MULTILINE)
    told = {name: tuple(re.findall(r"`(.+?)`", sources)) for name, sources in table}
    assert told == {name: scenario.sources for name, scenario in READY.items()}
    assert [*told] == [*READY]


def test_the_table_of_sources_names_all() -> None:
    """And no other."""
    assert [name.strip("`") for name, *_ in rows("Sources")] == [*SOURCES]


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_is_taken_by_the_parser(text: str) -> None:
    """As it stands there."""
    assert read_scenarios(text).scenarios


def test_there_are_ten_examples() -> None:
    """Beside the one that shows what a document is; each of something else."""
    assert len(EXAMPLES) == len(set(EXAMPLES)) == 11


def test_what_the_check_prints_is_what_the_guide_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the document with two mistakes of which it tells."""
    monkeypatch.chdir(tmp_path)
    document = (
        "version: 1\n"
        "scenarios:\n"
        "  home:\n"
        "    filter: product.pirce < 10\n"
        "    boosts:\n"
        "      - when: product.brand == Acme\n"
        "        by: 0.2\n"
    )
    Path("demo.yaml").write_text(document)
    said: list[str] = []
    assert check([Path("demo.yaml")], said.append) == 1
    assert "```\n" + "\n".join(said) + "\n```" in GUIDE
