"""A recommendations server that does what a test tells it, behind the shared server's real door.

Keys, limits, errors and their details are those of :mod:`services.shared.grpc_server`; only what
answers is made up. It runs in a thread of its own, as clients are processes that are waited for.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from attune.recommendations.v1 import recommendation_service_pb2 as pb
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf import message_factory
from google.protobuf.message import Message

from services.shared.grpc_server import Call, Service, start_server
from services.shared.health import Health
from services.shared.identity import ApiKeys, new_key

T = TypeVar("T")

KEY, KNOWN = new_key(shop_id="demo", scopes=["recommendations.read"], key_id="storefront")
SERVICE = pb.DESCRIPTOR.services_by_name["RecommendationService"]
MUG = pb.RankedProduct(
    product_id="mug", title="The mug", reason=pb.Reason(sentence="Many have bought it.")
)


class Recommending:
    """Answers a mug, after what it is told to do ``first``; counts its calls by method."""

    def __init__(self, *first: Exception | None, source: int = pb.SOURCE_TRENDING) -> None:
        self.calls = dict.fromkeys((method.name for method in SERVICE.methods), 0)
        self._first = list(first)
        self._source = source

    def service(self) -> Service:
        """All methods of the contract."""
        return Service(SERVICE, {method.name: self._method(method) for method in SERVICE.methods})

    def _method(self, method: Any) -> Callable[[Any, Call], Awaitable[Message]]:
        kind: Any = message_factory.GetMessageClass(method.output_type)

        async def answer(*_: Any) -> Message:
            self.calls[method.name] += 1
            if self._first:
                await _do(self._first.pop(0))
            made: Message = kind(attribution_token="token", products=[MUG], source=self._source)
            return made

        return answer


async def _do(what: Exception | None) -> None:
    """Fail, or for None never end."""
    if what is not None:
        raise what
    await asyncio.Event().wait()


@contextmanager
def serving(answering: Recommending, host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A server in the background; answers its port."""
    with _in_background(_serving(answering, host, port)) as bound:
        yield bound


@contextmanager
def serving_tls(answering: Recommending, certificate: Path) -> Iterator[int]:
    """The same behind a door that speaks TLS, as a gateway's does; the key lies beside it."""
    with _in_background(_serving_tls(answering, certificate)) as bound:
        yield bound


@asynccontextmanager
async def _serving(answering: Recommending, host: str, port: int) -> AsyncIterator[int]:
    server, bound = await start_server(
        [answering.service()], keys=ApiKeys([KNOWN]), health=Health(), host=host, port=port
    )
    yield bound
    await server.stop(None)


@asynccontextmanager
async def _serving_tls(answering: Recommending, certificate: Path) -> AsyncIterator[int]:
    speaking = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    speaking.load_cert_chain(certificate, certificate.with_suffix(".key"))
    speaking.set_alpn_protocols(["h2"])
    async with _serving(answering, "127.0.0.1", 0) as behind:

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", behind)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

        async with await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=speaking) as door:
            yield door.sockets[0].getsockname()[1]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(1 << 16):
        writer.write(piece)
        await writer.drain()
    writer.close()


@contextmanager
def _in_background(service: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Keep an event loop going in a thread while ``service`` is entered."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def do(job: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(job, loop).result(timeout=60)

    try:
        yield do(_entered(service))
    finally:
        do(_left(service))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)


async def _entered(service: AbstractAsyncContextManager[T]) -> T:
    return await service.__aenter__()


async def _left(service: AbstractAsyncContextManager[Any]) -> None:
    await service.__aexit__(None, None, None)


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
