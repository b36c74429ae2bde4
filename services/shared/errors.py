"""One tree of errors for all services.

::

    AttuneError                     code, retriable, grpc_status
    ├── BadInput                    what was sent is wrong; sending it again will not help
    │   ├── EventRefused            an event goes to dead-letters with this code
    │   ├── EventsRefused           of a request to write events none can be taken
    │   ├── RequestTooLarge
    │   ├── TooManyRefused          of files to import too many rows are wrong
    │   └── ProductUnknown, ShopperUnknown, ScenarioUnknown, ShopNotServed, …
    ├── Unauthenticated             who calls is not known
    ├── ScopeMissing                who calls may not do this
    ├── BadSetting                  the process was told something it cannot work with
    ├── BundleRefused               a model bundle is damaged or of another schema
    ├── ServingRefused              which bundle is served cannot be read, or not be changed so
    ├── RoundRefused                a round of retraining came to no bundle that may be tried
    └── Unavailable                 what is needed does not answer now; retriable
        ├── RedisUnavailable, KafkaUnavailable, StorageUnavailable
        ├── StepUnfinished          a step of a round was killed, or took too long
        ├── CatalogLoading
        └── TooManyCalls, TooManyBytes

``code`` is a constant that callers may compare; the message is for people and says what,
where and what to do. ``services.shared.grpc_server`` maps a whole tree to statuses once.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import ClassVar

import grpc

Fields = Sequence[tuple[str, str]]
"""Pairs of a field's path and what is wrong with it."""


class AttuneError(Exception):
    """The root: anything Attune itself raises."""

    code: str = "INTERNAL"
    retriable: ClassVar[bool] = False
    grpc_status: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL


class BadInput(AttuneError):
    """What was sent is wrong; sending it again as it is will not help."""

    code = "INVALID_REQUEST"
    grpc_status = grpc.StatusCode.INVALID_ARGUMENT

    def __init__(self, message: str, *, fields: Fields = ()) -> None:
        super().__init__(message)
        self.fields = fields


class EventRefused(BadInput):
    """An event cannot be read or breaks a limit; it goes to ``dead-letters`` with ``code``."""

    def __init__(self, code: str, message: str, *, fields: Fields = ()) -> None:
        super().__init__(message, fields=fields)
        self.code = code


class EventsRefused(BadInput):
    """None of a request's events can be taken; ``code`` is theirs where all have the same."""

    def __init__(self, codes: Set[str], message: str, *, fields: Fields) -> None:
        super().__init__(message, fields=fields)
        if len(codes) == 1:
            (self.code,) = codes


class RequestTooLarge(BadInput):
    """A request has more bytes than the method takes."""

    code = "REQUEST_TOO_LARGE"


class TooManyRefused(BadInput):
    """Of files to import so many rows are wrong that it is the files, or how they are read."""

    code = "TOO_MANY_REFUSED"


class ProductUnknown(BadInput):
    """The catalogue does not have the product."""

    code = "PRODUCT_UNKNOWN"
    grpc_status = grpc.StatusCode.NOT_FOUND


class ShopperUnknown(BadInput):
    """Nothing is known of the shopper."""

    code = "SHOPPER_UNKNOWN"
    grpc_status = grpc.StatusCode.NOT_FOUND


class ScenarioUnknown(BadInput):
    """The shop has no such scenario."""

    code = "SCENARIO_UNKNOWN"
    grpc_status = grpc.StatusCode.NOT_FOUND


class ShopNotServed(BadInput):
    """The server has not been told to answer for this shop."""

    code = "SHOP_NOT_SERVED"
    grpc_status = grpc.StatusCode.NOT_FOUND


class Unauthenticated(AttuneError):
    """The call carries no API key, or one that is not known."""

    code = "API_KEY_INVALID"
    grpc_status = grpc.StatusCode.UNAUTHENTICATED


class ScopeMissing(AttuneError):
    """The API key does not hold the scope that the method needs."""

    code = "SCOPE_MISSING"
    grpc_status = grpc.StatusCode.PERMISSION_DENIED


class BadSetting(AttuneError):
    """A setting is missing, unknown or out of range; the process does not start."""

    code = "BAD_SETTING"
    grpc_status = grpc.StatusCode.FAILED_PRECONDITION


class BundleRefused(AttuneError):
    """A model bundle is damaged, of another schema, or computes something else here."""

    code = "BUNDLE_REFUSED"
    grpc_status = grpc.StatusCode.FAILED_PRECONDITION


class ServingRefused(AttuneError):
    """The document that says which bundle is served is damaged, or may not be changed so."""

    code = "SERVING_REFUSED"
    grpc_status = grpc.StatusCode.FAILED_PRECONDITION


class RoundRefused(AttuneError):
    """A round of retraining came to no bundle that may be tried: the gate, or a step, refused."""

    code = "ROUND_REFUSED"
    grpc_status = grpc.StatusCode.FAILED_PRECONDITION


class Unavailable(AttuneError):
    """An outside system does not answer now."""

    code = "UNAVAILABLE"
    retriable = True
    grpc_status = grpc.StatusCode.UNAVAILABLE


class RedisUnavailable(Unavailable):
    """Redis does not answer, or refuses to write."""

    code = "REDIS_UNAVAILABLE"


class KafkaUnavailable(Unavailable):
    """No Kafka broker answers."""

    code = "KAFKA_UNAVAILABLE"


class StorageUnavailable(Unavailable):
    """A disk or object store does not answer, is full, or may not be written."""

    code = "STORAGE_UNAVAILABLE"


class StepUnfinished(Unavailable):
    """A step of a round of retraining was killed, or took longer than it may."""

    code = "STEP_UNFINISHED"


class CatalogLoading(Unavailable):
    """The catalogue has not been read to its end yet."""

    code = "CATALOG_LOADING"


class TooManyCalls(Unavailable):
    """The server has as many calls in hand as it takes."""

    code = "TOO_MANY_CALLS"
    grpc_status = grpc.StatusCode.RESOURCE_EXHAUSTED


class TooManyBytes(Unavailable):
    """The calls that the server has in hand hold as many bytes as it takes."""

    code = "TOO_MANY_BYTES"
    grpc_status = grpc.StatusCode.RESOURCE_EXHAUSTED
