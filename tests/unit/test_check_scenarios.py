"""``check-scenarios``: whoever writes a document is told what is wrong before a server is."""

from __future__ import annotations

from pathlib import Path

import pytest
from attune.profiles.v1 import profile_service_pb2
from attune.recommendations.v1 import recommendation_service_pb2

from services.recommendations.__main__ import main

GOOD = """\
version: 1
layers: [{name: pages, salt: s1}]
experiments:
  - name: ranking
    layer: pages
    salt: s2
    traffic: [0, 5000]
    arms: [{name: a, share: 0.75}, {name: b, share: 0.25}]
    hypothesis: more of what trends is bought
    metric: {outcome: conversion}
    window_days: 7
    planned_shoppers: 1000
scenarios:
  home:
    sources: [personal, popular]
    filter: product.has_price
    boosts: [{when: product.available, by: 0.1}]
    pins: [{product: a, place: 1}, {product: b, place: 2}]
    exposure: {strength: 0.2}
    arms: {ranking: {b: cart}}
"""


def check(*files: Path) -> int:
    return main(["check-scenarios", *map(str, files)])


def test_what_is_fine_is_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scenario by scenario, with the experiments and what stays as it comes."""
    (tmp_path / "demo.yaml").write_text(GOOD)
    assert check(tmp_path / "demo.yaml") == 0
    assert (
        capsys.readouterr().out
        == f"""\
{tmp_path}/demo.yaml is fine: 1 scenario
  home: from personal, then popular; a filter; 1 boost; 2 pins; an exposure rule; arms of ranking
  experiment ranking: a 75%, b 25% of 50% of shoppers
  as they come: product-page, cart, search, buy-again, e-mail
"""
    )


def test_each_mistake_is_shown_in_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a mark below the place; the other files are read all the same."""
    (tmp_path / "demo.yaml").write_text(GOOD)
    wrong = GOOD.replace("has_price", "has_prize").replace("{b: cart}", "{b: card}")
    (tmp_path / "wrong.yaml").write_text(wrong)
    assert check(tmp_path / "wrong.yaml", tmp_path / "demo.yaml") == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[:8] == [
        f"{tmp_path}/wrong.yaml: 2 mistakes",
        "",
        "  line 16, column 20: there is no 'product.has_prize' here",
        "    16 |     filter: product.has_prize",
        "         " + " " * 19 + "^",
        "",
        "  line 20, column 22: there is no scenario card",
        "    20 |     arms: {ranking: {b: card}}",
    ]
    assert shown[8] == "         " + " " * 21 + "^"
    assert shown[9] == f"{tmp_path}/demo.yaml is fine: 1 scenario"


@pytest.mark.parametrize(
    ("text", "line", "mark"),
    [
        (b"", "     1 | ", "         ^"),
        (b"version: 1\nscenarios: [", "     3 | ", "         ^"),
        (b"version: 1\n\tx: 1", "     2 | \tx: 1", "         ^"),
        (b"version: \xff", "     1 | version: \ufffd", "                  ^"),
        (b"a" * 300 + b": 1", "     1 | " + "a" * 100, "         ^"),
        (
            b"version: 1\nx" + b" " * 200 + b": &b 1",
            "     2 | " + " " * 97 + ": &",
            " " * 108 + "^",
        ),
    ],
)
def test_any_place_can_be_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes, line: str, mark: str
) -> None:
    """Behind the end, in a line of tabs or of no text, far out in a long one."""
    (tmp_path / "demo.yaml").write_bytes(text)
    assert check(tmp_path / "demo.yaml") == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2].startswith(line.rstrip("\n"))
    assert shown[-1] == mark


def test_a_file_that_cannot_be_read_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a sentence, and with status 1."""
    assert check(tmp_path / "none.yaml") == 1
    assert capsys.readouterr().out == (
        f"{tmp_path}/none.yaml cannot be read: No such file or directory\n"
    )


def test_a_name_that_no_shop_has_is_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server would refuse it, too."""
    (tmp_path / "demo.yml").write_text(GOOD)
    assert check(tmp_path / "demo.yml") == 1
    assert "it must be the shop's id, or default, and .yaml" in capsys.readouterr().out


def test_it_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    """And the server's own help names it, beside all methods that it answers."""
    with pytest.raises(SystemExit) as ended:
        main(["check-scenarios", "--help"])
    assert ended.value.code == 0
    assert "check-scenarios [-h] FILE [FILE ...]" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "check-scenarios --help" in said
    for service in (recommendation_service_pb2, profile_service_pb2):
        for each in service.DESCRIPTOR.services_by_name.values():
            assert all(method.name in said for method in each.methods)
