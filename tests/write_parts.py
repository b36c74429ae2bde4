"""A storefront that writes events over gRPC, for tests of the door."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from attune.events.v1 import event_service_pb2 as pb
from attune.events.v1 import event_service_pb2_grpc
from attune.events.v1.shopper_event_pb2 import AddToCart, OrderLine, Purchase, ShopperEvent, View
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.shared.identity import add_key
from tests.worker_kafka import now

SCOPES = ("events.write",)
SECONDS = 20.0


def viewed(number: int | str, *, at: datetime | None = None, **fields: Any) -> ShopperEvent:
    """A view of a mug by Ana, now; without a shop, which is the key's."""
    usual = {"event_id": f"e{number}", "user_id": "ana", "view": View(product_id="mug")}
    told: dict[str, Any] = {**usual, **fields}
    event = ShopperEvent(**told)
    event.occurred_at.FromDatetime(at or now())
    return event


def without_product(number: int | str = "bad") -> ShopperEvent:
    """An event that breaks a limit of its own."""
    return viewed(number, view=View())


def large(number: int | str) -> ShopperEvent:
    """An event near the size that one may have."""
    lines = [OrderLine(product_id=f"{line:0128}", quantity=1) for line in range(450)]
    return viewed(number, view=None, purchase=Purchase(order_id="o", lines=lines))


def in_cart(number: int | str, quantity: int) -> ShopperEvent:
    """Mugs put into the cart, now."""
    return viewed(number, view=None, add_to_cart=AddToCart(product_id="mug", quantity=quantity))


class Refused(NamedTuple):
    """How a call failed."""

    status: grpc.StatusCode
    reason: str
    fields: list[str]
    retry_seconds: float


def refused(call: Callable[[], object]) -> Refused:
    """How a call fails, and what it says of it."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # it is a Call as well
    for detail in status.details if status else ():
        _ = detail.Unpack(info) or detail.Unpack(bad) or detail.Unpack(retry)
    return Refused(
        raised.value.code(),
        info.reason,
        [violation.field for violation in bad.field_violations],
        retry.retry_delay.ToTimedelta().total_seconds(),
    )


class Door:
    """A client with the key of one shop."""

    def __init__(self, address: str, key: str) -> None:
        self.channel = grpc.insecure_channel(address)
        self._stub = event_service_pb2_grpc.EventServiceStub(self.channel)
        self._metadata = (("authorization", f"Bearer {key}"),)

    def write(self, *events: ShopperEvent, within: float | None = SECONDS) -> pb.WriteResponse:
        """What the server answers. Raises grpc.RpcError."""
        return self._stub.Write(
            pb.WriteRequest(events=events), metadata=self._metadata, timeout=within
        )

    def start(self, *events: ShopperEvent, within: float = SECONDS) -> Any:
        """The call, as a future."""
        return self._stub.Write.future(
            pb.WriteRequest(events=events), metadata=self._metadata, timeout=within
        )


def shop_and_key(folder: Path, scopes: tuple[str, ...] = SCOPES) -> tuple[str, str]:
    """A shop that no other test knows, and a key of it."""
    name = f"shop-{secrets.token_hex(4)}"
    return name, add_key(folder / "keys.json", shop_id=name, scopes=scopes)


def positions(answer: pb.WriteResponse) -> list[tuple[int, int]]:
    """Partition and offset of each event; fails where one has none."""
    assert all(result.HasField("position") for result in answer.results), answer
    return [(each.position.partition, each.position.offset) for each in answer.results]
