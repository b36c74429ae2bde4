"""What the caller of a failed call is told: ``google.rpc.Status``, and when to try again."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import grpc
from google.protobuf import duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.shared.errors import AttuneError, BadInput, TooManyCalls

DOMAIN: Final = "attune"
"""``ErrorInfo.domain`` of every error."""

RETRY_DELAY_MS: Final = 200
"""``RetryInfo`` of retriable errors."""

PUSHBACK: Final = ("grpc-retry-pushback-ms", str(RETRY_DELAY_MS))
"""The same for a gRPC library that tries again by itself. It goes with RESOURCE_EXHAUSTED only:
what is UNAVAILABLE here may be had from the next server at once."""


class Told(NamedTuple):
    """What the caller of a failed call is told."""

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...]


def status_of(error: Exception) -> tuple[status_pb2.Status, grpc.StatusCode]:
    """What a caller is told of an error; nothing of one that is not ours."""
    if isinstance(error, TimeoutError):
        code, reason, message = grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "too late"
    elif isinstance(error, AttuneError):
        code, reason, message = error.grpc_status, error.code, str(error)
    else:
        code, reason, message = grpc.StatusCode.INTERNAL, "INTERNAL", "internal error"
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=message[:2_048])
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)]
    if isinstance(error, BadInput) and error.fields:
        violation = error_details_pb2.BadRequest.FieldViolation
        found = [violation(field=path, description=what) for path, what in error.fields[:50]]
        details.append(error_details_pb2.BadRequest(field_violations=found))
    if isinstance(error, AttuneError) and error.retriable:
        delay = duration_pb2.Duration(nanos=RETRY_DELAY_MS * 1_000_000)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in details:
        status.details.add().Pack(detail)
    return status, code


def told(error: Exception) -> Told:
    """The answer to a call that failed."""
    return _refusal(str(error)) if isinstance(error, TooManyCalls) else _answer_to(error)


@lru_cache(maxsize=8)
def _refusal(message: str) -> Told:
    """Made once: in an overload it is what a server says most."""
    return _answer_to(TooManyCalls(message))


def _answer_to(error: Exception) -> Told:
    status, code = status_of(error)
    return Told(code, status.message, _trailers(status))


def _trailers(status: status_pb2.Status) -> tuple[tuple[str, str | bytes], ...]:
    """The details of an error and, where gRPC itself may try again, when."""
    details = tuple(rpc_status.to_status(status).trailing_metadata)
    is_full = status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    return (*details, PUSHBACK) if is_full else details
