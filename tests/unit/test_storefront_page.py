"""docs/storefront.md, held to the examples that it shows and to what they are built with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from services.recommendations.domain.filters import errors as filter_errors
from services.recommendations.domain.scenario import READY
from services.shared import errors
from services.shared.errors import AttuneError
from tests.storefront_examples import EXAMPLES, LANGUAGES, PAGE, ROOT, blocks, section, shell

CONFIGS = sorted(EXAMPLES.rglob("service_config.json"))
ELSEWHERE = {
    "BAD_SETTING", "BUNDLE_REFUSED", "KAFKA_UNAVAILABLE", "REQUEST_TOO_LARGE", "ROUND_REFUSED",
    "SERVING_REFUSED", "STEP_UNFINISHED", "STORAGE_UNAVAILABLE", "TOO_MANY_BYTES",
    "TOO_MANY_REFUSED", "UNAVAILABLE",
}  # fmt: skip
"""Codes that no call to this server ends with: of commands, of producers, of a root of others."""
LOCKS = [EXAMPLES / "go/go.sum", EXAMPLES / "typescript/package-lock.json"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_the_shortest_programs_as_they_are(language: str) -> None:
    """Word by word, and each below its heading."""
    heading, program = LANGUAGES[language].heading, LANGUAGES[language].shortest
    shown = blocks(heading.lower(), section(heading))
    assert shown == [(EXAMPLES / language / program).read_text()]


def test_every_command_of_the_page_is_one_that_tests_run() -> None:
    """One block says where and who, one makes the contract, two a language build and run."""
    counts = {heading: len(blocks("sh", section(heading))) for heading in headings()}
    run = {"The contract": 1, **{each.heading: 2 for each in LANGUAGES.values()}}
    assert {heading: count for heading, count in counts.items() if count} == run
    assert len(blocks("sh", PAGE)) == 1 + sum(run.values())


def headings() -> list[str]:
    return re.findall(r"^## (.+)$", PAGE, re.MULTILINE)


def test_the_first_block_says_where_and_who(tmp_path: Path) -> None:
    """By what the demo leaves behind."""
    (tmp_path / "build/stack").mkdir(parents=True)
    (tmp_path / "build/stack/api-key").write_text("attune_demo_x")
    words = blocks("sh", PAGE)[0] + 'echo "$ATTUNE_TARGET $ATTUNE_API_KEY"'
    assert shell(words, tmp_path).stdout == "dns:///127.0.0.1:50051 attune_demo_x\n"


def test_retries_and_balancing_are_the_same_in_every_language() -> None:
    """And as the page shows them."""
    assert len(CONFIGS) == len(LANGUAGES)
    assert {path.read_text() for path in CONFIGS} == set(blocks("json", PAGE))


def test_the_service_config_is_about_the_contract_s_service() -> None:
    """A misspelt name would leave calls without retries, and nobody would hear of it."""
    (method,) = json.loads(CONFIGS[0].read_text())["methodConfig"]
    assert method["name"] == [
        {"service": pb.DESCRIPTOR.services_by_name["RecommendationService"].full_name}
    ]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert method["retryPolicy"]["maxAttempts"] == 3


def test_every_source_and_cause_is_on_the_page() -> None:
    """A storefront hears of each way that a list can be made, and why it is not personal."""
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert rows >= {*pb.Source.keys()} - {"SOURCE_UNSPECIFIED"}
    causes = {*pb.FallbackCause.keys()} - {"FALLBACK_CAUSE_UNSPECIFIED"}
    assert rows >= {cause.removeprefix("FALLBACK_CAUSE_") for cause in causes}


def test_every_method_and_what_it_says_of_the_list_is_on_the_page() -> None:
    """With the scenario that it takes where none is named."""
    chapter = section("What to ask for")
    methods = pb.DESCRIPTOR.services_by_name["RecommendationService"].methods
    assert {method.name for method in methods} == set(
        re.findall(r"^\| `(\w+)` \|", chapter, re.MULTILINE)
    )
    for name in re.findall(r"`([\w-]+)` \|$", chapter, re.MULTILINE):
        assert name in READY
    for name in ("scenario", "filter", "context"):
        assert all(name in method.input_type.fields_by_name for method in methods)
        assert f"**`{name}`**" in chapter
    for name in pb.Context.DESCRIPTOR.fields_by_name:
        assert f"`{name}`" in chapter


def test_every_code_that_a_call_can_end_with_is_on_the_page() -> None:
    """With its status. What is not on it is an error of other processes, and named here."""
    statuses = {each.code: each.grpc_status.name for each in raised_by(AttuneError)}
    statuses["DEADLINE_EXCEEDED"] = "DEADLINE_EXCEEDED"
    said: dict[str, str] = {}
    for status, codes in re.findall(r"^\| `(\w+)` \| (`.+?) \|", section("Errors"), re.MULTILINE):
        said |= dict.fromkeys(re.findall(r"`(\w+)`", codes), status)
    assert said == {code: statuses[code] for code in statuses.keys() - ELSEWHERE}


def raised_by(root: type[AttuneError]) -> Iterator[type[AttuneError]]:
    """An error and those below it, of the two modules whose errors callers are told."""
    if root.__module__ in (errors.__name__, filter_errors.__name__):
        yield root
    for each in root.__subclasses__():
        yield from raised_by(each)


def test_python_s_libraries_are_those_that_tests_run_with() -> None:
    """Pinned to what the lock of the development environment says."""
    lock = (ROOT / "deploy/locks/dev.txt").read_text()
    pins = re.findall(
        r"^(\S+)==(\S+)", (EXAMPLES / "python/requirements.txt").read_text(), re.MULTILINE
    )
    assert len(pins) == 5
    for name, version in pins:
        assert f"\n{name}=={version} " in lock


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_locks_hold_hashes_and_no_addresses(lock: Path) -> None:
    """What is installed is what was looked at, from wherever it comes."""
    text = lock.read_text()
    assert re.search(r"h1:\S{43}=|sha512-\S{86}==", text)
    assert not re.search(r"://|\"resolved\"", text)


def test_versions_are_exact() -> None:
    """No example takes what is newest on the day that it is built."""
    package = json.loads((EXAMPLES / "typescript/package.json").read_text())
    for version in (package["dependencies"] | package["devDependencies"]).values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    pom = (EXAMPLES / "java/pom.xml").read_text()
    for version in re.findall(r"<(?:\w+\.)?version>(.+?)</", pom):
        assert re.fullmatch(r"\d+\.\d+\.\d+|\$\{(grpc|protobuf)\.version\}", version)
