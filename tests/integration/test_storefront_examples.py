"""The storefronts' examples in four languages, made by the page's words and run as processes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from services.shared.errors import CatalogLoading, TooManyCalls
from tests.name_server import NameServer
from tests.recommendation_shop import VECTORS, Running, Shop, bought
from tests.storefront_examples import (
    BUILDING,
    EXAMPLES,
    LANGUAGES,
    ROOT,
    Client,
    blocks,
    build,
    environment,
    section,
    shell,
    skip_unless_clients_are_made,
    skip_unless_wanted,
)
from tests.storefront_server import (
    KEY,
    MUG,
    Recommending,
    serving,
    serving_tls,
    write_certificate,
)
from tests.waiting import eventually

REQUIREMENTS = EXAMPLES / "python/requirements.txt"
PATIENT = ("--deadline", "20")
LOADING = CatalogLoading("the catalogue is still being read")
FULL = TooManyCalls("1000 calls are in hand already; try again")
NEVER = None
SOON = r"in (0\.2 s|200ms)"
"""What ``RetryInfo`` says, as each language prints it."""
OBEYS_PUSHBACK = ("java",)
"""Whose gRPC library tries again when the server says so, whatever the status."""

HEADINGS: Mapping[int, str] = {
    pb.SOURCE_PERSONAL: "Chosen for you",
    pb.SOURCE_SIMILAR: "Like this",
    pb.SOURCE_TRENDING: "Trending now",
    pb.SOURCE_POPULAR: "Popular",
}


@pytest.fixture(params=LANGUAGES)
def client(request: pytest.FixtureRequest) -> Client:
    """An example, made once for all tests."""
    skip_unless_wanted(request.param)
    return Client(request.param, build(request.param))


def ask(client: Client, port: int, *words: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    """Have the example ask a server of this machine."""
    told = {"ATTUNE_TARGET": f"dns:///127.0.0.1:{port}", "ATTUNE_API_KEY": key}
    return client.start("storefront", *words, **told)


def shown(whose: str, source: int, products: Sequence[pb.RankedProduct]) -> list[str]:
    """How an example prints a list, without its attribution token."""
    lines = [f"  {each.title}: {each.reason.sentence}" for each in products]
    return [f"{HEADINGS.get(source, 'Popular')} ({whose})", *lines]


@pytest.fixture
def known(shop: Shop) -> Shop:
    """A shop of a real server, with a shopper who has bought a mug."""
    shop.list_products(*VECTORS)
    shop.know("u:ana", bought("mug"))
    return shop


def test_products_are_shown_with_reasons_by_their_source(
    client: Client, known: Shop, running: Running
) -> None:
    """Of a real server: a personal list, a popular one, and what is like the first of each."""
    words = (*PATIENT, "--limit", "2", "ana", "nobody")
    done = ask(client, running.service.port, *words, key=known.key)
    assert done.returncode == 0, done.stderr
    expected = []
    for shopper in ("ana", "nobody"):
        answer = known.recommend(shopper, limit=2)
        expected += shown(shopper, answer.source, answer.products)
        first = answer.products[0].product_id
        like = known.similar(first, limit=2)
        expected += shown(first, like.source, like.products[:2])
    printed = done.stdout.splitlines()
    tokens = [line for line in printed if line.startswith("  attribution token: ")]
    assert [line for line in printed if line not in tokens] == expected
    assert expected[0] == "Chosen for you (ana)"
    assert len(set(tokens)) == 4, "each list has its own"


def test_the_shortest_program_of_the_page_runs(
    client: Client, known: Shop, running: Running
) -> None:
    """It shows the same list, and how it was made."""
    told = {"ATTUNE_TARGET": f"dns:///{running.service.address}", "ATTUNE_API_KEY": known.key}

    def answered() -> str:
        return client.start("shortest", "ana", **told).stdout  # none where its second was too short

    source, *products = eventually(answered, within=60).splitlines()
    assert source == "SOURCE_PERSONAL"
    listed = shown("", source=0, products=known.recommend("ana").products)[1:]
    assert products == [line.strip() for line in listed]


def test_a_wrong_request_and_a_wrong_key_are_explained(client: Client) -> None:
    """By the reason in the error's details, and the fields that it names."""
    with serving(answering := Recommending()) as port:
        wrong = ask(client, port, *PATIENT, "--limit", "0", "ana")
        stranger = ask(client, port, *PATIENT, "ana", key="attune_nobody_x")
    assert (wrong.returncode, stranger.returncode) == (1, 1)
    assert "ana: INVALID_REQUEST: the request is wrong: limit must be" in wrong.stderr
    assert "ana: API_KEY_INVALID: authorization must be" in stranger.stderr
    assert answering.calls["Recommend"] == 0


def test_a_server_that_is_not_ready_is_asked_again(client: Client) -> None:
    """UNAVAILABLE twice, then an answer: the shopper sees nothing of it."""
    with serving(answering := Recommending(LOADING, LOADING)) as port:
        done = ask(client, port, *PATIENT, "ana")
    assert done.returncode == 0, done.stderr
    listed = [*shown("ana", pb.SOURCE_TRENDING, [MUG]), "  attribution token: token"]
    assert done.stdout.splitlines()[:3] == listed
    assert answering.calls["Recommend"] == 3


def test_a_server_that_stays_away_is_asked_three_times(client: Client) -> None:
    """Then the failure is told, with when to come back."""
    with serving(answering := Recommending(*[LOADING] * 9)) as port:
        done = ask(client, port, *PATIENT, "ana")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(f"ana: CATALOG_LOADING: try again {SOON}", done.stderr)
    assert answering.calls["Recommend"] == 3


def test_a_full_server_is_left_alone_unless_the_library_knows_when_to_come_back(
    client: Client,
) -> None:
    """RESOURCE_EXHAUSTED is no code to retry: only the server's own word makes it one."""
    with serving(answering := Recommending(FULL)) as port:
        done = ask(client, port, *PATIENT, "ana")
    if client.language in OBEYS_PUSHBACK:
        assert (done.returncode, answering.calls["Recommend"]) == (0, 2), done.stderr
    else:
        assert (done.returncode, answering.calls["Recommend"]) == (1, 1)
        assert re.search(f"ana: TOO_MANY_CALLS: try again {SOON}", done.stderr)


def test_a_call_ends_at_its_deadline(client: Client) -> None:
    """A server that never answers costs no more than that, and is not asked again."""
    with serving(answering := Recommending(NEVER)) as port:
        done = ask(client, port, "--deadline", "0.8", "ana")
    assert done.returncode == 1
    assert re.search("ana: DEADLINE_?EXCEEDED", done.stderr, re.IGNORECASE)
    assert answering.calls["Recommend"] <= 1


def test_a_source_that_is_not_known_reads_as_popular(client: Client) -> None:
    """A newer server may have more ways to make a list than this client has heard of."""
    with serving(Recommending(source=99)) as port:
        done = ask(client, port, *PATIENT, "ana")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "Popular (ana)"


def test_calls_go_to_both_servers_behind_one_name(client: Client, tmp_path: Path) -> None:
    """Client-side balancing, over one channel: neither server is left without calls."""
    one, other = Recommending(), Recommending()
    shoppers = [f"shopper-{number}" for number in range(20)]
    with (
        NameServer("servers.test", "127.0.0.1", "127.0.0.2") as names,
        serving(one) as port,
        serving(other, "127.0.0.2", port),
    ):
        told = found_by(client.language, names, port, tmp_path)
        done = client.start("storefront", *PATIENT, *shoppers, ATTUNE_API_KEY=KEY, **told)
    assert done.returncode == 0, done.stderr
    calls = [sum(each.calls.values()) for each in (one, other)]
    assert sum(calls) == 2 * len(shoppers)
    assert min(calls) >= len(shoppers) // 2


def found_by(language: str, names: NameServer, port: int, folder: Path) -> dict[str, str]:
    """What has a language's library ask the test's name server instead of the machine's."""
    if language == "typescript":
        told = {"GRPC_NODE_USE_ALTERNATIVE_RESOLVER": "true"}
        return {"ATTUNE_TARGET": names.target(port), **told}
    if language != "java":
        return {"ATTUNE_TARGET": names.target(port)}
    hosts = folder / "hosts"  # Java takes no other name server, but a file with what it says
    hosts.write_text("".join(f"{each} {names.name}\n" for each in names.addresses))
    options = f"{os.environ['JDK_JAVA_OPTIONS']} -Djdk.net.hosts.file={hosts}"
    return {"ATTUNE_TARGET": f"dns:///{names.name}:{port}", "JDK_JAVA_OPTIONS": options}


def test_tls_is_spoken_with_who_is_trusted_and_nobody_else(client: Client, tmp_path: Path) -> None:
    """The server's certificate must be by an authority of the file."""
    certificates = [write_certificate(tmp_path / f"{name}.pem") for name in ("own", "other")]
    with serving_tls(answering := Recommending(), certificates[0]) as port:
        words = ("--tls", str(certificates[0]), *PATIENT, "ana")
        done = ask(client, port, *words)
        refused = ask(client, port, "--tls", str(certificates[1]), "--deadline", "3", "ana")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == shown("ana", pb.SOURCE_TRENDING, [MUG])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert answering.calls["Recommend"] == 1


def test_python_needs_no_more_than_its_requirements(tmp_path: Path) -> None:
    """An environment of nothing else generates the code and runs the example."""
    skip_unless_clients_are_made()
    client, programs = Client("python", build("python")), tmp_path / "environment/bin"
    told = {"PATH": f"{programs}{os.pathsep}{environment({})['PATH']}"}
    for words in (
        f"deploy/local/uv.sh venv --quiet {programs.parent}",
        f"deploy/local/uv.sh pip install --python {programs}/python -r {REQUIREMENTS}",
        blocks("sh", section("Python"))[0],
    ):
        done = shell(words, ROOT, told, within=BUILDING)
        assert done.returncode == 0, done.stderr
    with serving(Recommending()) as port:
        told |= {"ATTUNE_TARGET": f"dns:///127.0.0.1:{port}", "ATTUNE_API_KEY": KEY}
        done = client.start("storefront", *PATIENT, "ana", **told)
    assert done.returncode == 0, done.stderr
