"""The chart's values, their schema and their table in the README are one and the same list."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any

import yaml

from deploy.local.topics import TOPICS
from tests.chart import CHART, EVERY_VALUE

NOT_OURS = "global"
"""Helm hands this one to every part of a larger chart."""


def described(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Each value that the schema describes, with its description."""
    for name, part in schema["properties"].items():
        if name == NOT_OURS:
            continue
        if "description" in part:
            yield path + name, part["description"]
        else:
            yield from described(part, f"{path}{name}.")


def defaults(values: dict[str, Any], known: set[str], path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of ``values.yaml`` down to the names in ``known``, with its default."""
    for name, value in values.items():
        if path + name in known or not isinstance(value, dict):
            yield path + name, value
        else:
            yield from defaults(value, known, f"{path}{name}.")


def table() -> list[tuple[str, Any, str]]:
    """The rows of the table: name, default and description."""
    rows = re.findall(
        r"^\| `(.+?)` \| `(.+?)` \| (.+) \|$", (CHART / "README.md").read_text(), re.M
    )
    return [(name, json.loads(default), text) for name, default, text in rows]


def schema() -> dict[str, Any]:
    return dict(json.loads((CHART / "values.schema.json").read_text()))


def test_one_version_everywhere() -> None:
    """Package, chart and changelog speak of the same release."""
    root = CHART.parents[2]
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    changelog = (root / "CHANGELOG.md").read_text()
    assert chart["appVersion"] == version
    assert re.findall(r"^## (\S+)", changelog, re.MULTILINE)[0] == version


def test_the_table_names_what_the_schema_allows() -> None:
    """Table and schema list the same values in the same words and order."""
    assert [(name, text) for name, _, text in table()] == list(described(schema()))


def test_the_table_gives_the_defaults() -> None:
    """The table's defaults are those of values.yaml, which has no value besides."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    known = {name for name, _ in described(schema())}
    assert [(name, default) for name, default, _ in table()] == list(defaults(values, known))


def test_the_tests_change_every_value() -> None:
    """No value is left at its default by the tests that render all of them."""
    known = {name for name, _ in described(schema())}
    tried = dict(defaults(EVERY_VALUE, known))
    assert {name for name, default, _ in table() if tried.get(name, default) == default} == set()


def test_the_schema_is_closed() -> None:
    """No group of values lets an unknown name pass, except what Kubernetes itself checks."""

    def open_groups(part: dict[str, Any], path: str) -> Iterator[str]:
        if part.get("type") == "object" and part.get("additionalProperties") is not False:
            yield path
        for name, inner in part.get("properties", {}).items():
            yield from open_groups(inner, f"{path}.{name}")
        if "items" in part:
            yield from open_groups(part["items"], path + "[]")

    free = {path.rsplit(".", 1)[-1] for path in open_groups(schema(), "")}
    assert free == {NOT_OURS, "podSelector", "namespaceSelector", "ipBlock"}


def test_the_notes_create_the_topics_of_the_embedded_stack() -> None:
    """The commands in the notes make the same topics, as the services expect them."""
    lines = (CHART / "templates/NOTES.txt").read_text().splitlines()
    told = [shlex.split(line.split('"')[1]) for line in lines if "--partitions" in line]
    assert [
        (name, int(count), dict(pair.split("=", 1) for pair in rest if pair != "--config"))
        for name, _, count, *rest in told
    ] == [(topic.name, topic.partitions, topic.settings) for topic in TOPICS]
