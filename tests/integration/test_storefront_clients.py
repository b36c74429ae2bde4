"""The storefronts' examples in four languages, made by the page's words and run as processes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.shared.errors import CatalogLoading, TooManyCalls
from tests.name_server import NameServer
from tests.recommendation_shop import VECTORS, Running, Shop, bought
from tests.storefront_clients import LANGUAGES, Client, build, skip_unless_wanted
from tests.storefront_server import KEY, MUG, Recommending, serving, serving_tls
from tests.waiting import eventually

PATIENT = ("--deadline", "20")
LOADING = CatalogLoading("the catalogue is still being read")
FULL = TooManyCalls("1000 calls are in hand already; try again")
NEVER = None
NAME = "servers.test"
OBEYS_PUSHBACK = ("java",)
"""Whose gRPC library tries again when the server says so, whatever the status."""

HEADINGS = {
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
        like = known.similar(first)
        expected += shown(first, like.source, like.products[:2])
    tokens, lines = [], []
    for line in done.stdout.splitlines():
        (tokens if line.startswith("  attribution token: ") else lines).append(line)
    assert lines == expected
    assert lines[0] == "Chosen for you (ana)"
    assert len(set(tokens)) == 4, "a token that is not its own list's"


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
    assert done.stdout.splitlines()[:2] == shown("ana", pb.SOURCE_TRENDING, [MUG])
    assert answering.calls["Recommend"] == 3


def test_a_server_that_stays_away_is_asked_three_times(client: Client) -> None:
    """Then the failure is told, with when to come back."""
    with serving(answering := Recommending(*[LOADING] * 9)) as port:
        done = ask(client, port, *PATIENT, "ana")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ana: CATALOG_LOADING: try again in 0.2" in done.stderr
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
        assert "ana: TOO_MANY_CALLS: try again in 0.2" in done.stderr


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
        NameServer(NAME, "127.0.0.1", "127.0.0.2") as names,
        serving(one) as port,
        serving(other, "127.0.0.2", port),
    ):
        target = names.target(port)
        told = {"ATTUNE_API_KEY": KEY}
        if client.language == "java":  # whose resolver asks the system's name server alone
            hosts = tmp_path / "hosts"
            hosts.write_text("".join(f"{each} {NAME}\n" for each in names.addresses))
            options = f"{os.environ['JDK_JAVA_OPTIONS']} -Djdk.net.hosts.file={hosts}"
            target, told["JDK_JAVA_OPTIONS"] = f"dns:///{NAME}:{port}", options
        done = client.start("storefront", *PATIENT, *shoppers, ATTUNE_TARGET=target, **told)
    assert done.returncode == 0, done.stderr
    calls = [sum(each.calls.values()) for each in (one, other)]
    assert sum(calls) == 2 * len(shoppers)
    assert min(calls) >= len(shoppers) // 2


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


def write_certificate(file: Path) -> Path:
    """One that 127.0.0.1 has signed for itself; its private key lies beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file.stem)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.with_suffix(".key").write_bytes(private)
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return file
