"""One answer as the recommendation log keeps it: a value, and the bytes of its contract.

The rule of attribution goes with each answer, so that a scenario may change without a word of
what was answered before, and whoever reads the log needs no scenario.
"""

from __future__ import annotations

from typing import Final, NamedTuple, cast

import msgspec
from attune.recommendations.v1 import recommendation_log_pb2 as pb
from attune.recommendations.v1.recommendation_service_pb2 import FallbackCause, Reason, Source
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from services.shared.attribution_rule import LONGEST_WINDOW_HOURS, After, Attribution, Credit
from services.shared.subject import subject_of

_SECOND: Final = 1_000_000

_CREDITS: Final[dict[Credit, pb.AttributionRule.Credit.ValueType]] = {
    "last": pb.AttributionRule.CREDIT_LAST,
    "first": pb.AttributionRule.CREDIT_FIRST,
    "every": pb.AttributionRule.CREDIT_EVERY,
}
_AFTERS: Final[dict[After, pb.AttributionRule.After.ValueType]] = {
    "click": pb.AttributionRule.AFTER_CLICK,
    "impression": pb.AttributionRule.AFTER_IMPRESSION,
    "answer": pb.AttributionRule.AFTER_ANSWER,
}
_CREDIT_OF: Final = {number: name for name, number in _CREDITS.items()}
_AFTER_OF: Final = {number: name for name, number in _AFTERS.items()}


class LoggedProduct(NamedTuple):
    """One product of an answer; ``reason`` is the contract's number of its kind."""

    product_id: str
    merchant_id: str = ""
    score: float = 0.0
    reason: int = 0


class LoggedAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was shown to whom, and why; ``source`` and ``fallback_cause`` are the contract's."""

    attribution_token: str
    shop_id: str
    user_id: str = ""
    visitor_id: str = ""
    answered_at: int
    """Microseconds since 1970."""
    took: int = 0
    """Microseconds."""
    method: str
    scenario: str
    source: int
    fallback_cause: int = 0
    model_version: str = ""
    arms: tuple[tuple[str, str], ...] = ()
    """Pairs of experiment and arm."""
    products: tuple[LoggedProduct, ...] = ()
    attribution: Attribution = Attribution()

    @property
    def subject(self) -> str:
        """Who asked; "" where the call named nobody."""
        return subject_of(self.user_id, self.visitor_id) if self.user_id or self.visitor_id else ""


class AnswerUnreadable(ValueError):
    """The bytes are no answer."""


def write_answer(answer: LoggedAnswer) -> bytes:
    """The answer in binary Protobuf."""
    rule = answer.attribution
    message = pb.LoggedAnswer(
        attribution_token=answer.attribution_token,
        shop_id=answer.shop_id,
        user_id=answer.user_id,
        visitor_id=answer.visitor_id,
        answered_at=Timestamp(
            seconds=answer.answered_at // _SECOND, nanos=answer.answered_at % _SECOND * 1_000
        ),
        took=Duration(seconds=answer.took // _SECOND, nanos=answer.took % _SECOND * 1_000),
        method=answer.method,
        scenario=answer.scenario,
        source=cast("Source.ValueType", answer.source),
        fallback_cause=cast("FallbackCause.ValueType", answer.fallback_cause),
        model_version=answer.model_version,
        attribution=pb.AttributionRule(
            window_hours=rule.window_hours,
            credit=_CREDITS[rule.credit],
            after=_AFTERS[rule.after],
        ),
    )
    for experiment, arm in answer.arms:
        message.arms.add(experiment=experiment, arm=arm)
    add = message.products.add
    for product_id, merchant_id, score, reason in answer.products:
        kind = cast("Reason.Kind.ValueType", reason)
        add(product_id=product_id, merchant_id=merchant_id, score=score, reason=kind)
    return message.SerializeToString()


def read_answer(value: bytes) -> LoggedAnswer:
    """The answer of these bytes, of this release or another. Raises AnswerUnreadable."""
    try:
        message = pb.LoggedAnswer.FromString(value)
    except DecodeError as error:
        raise AnswerUnreadable(f"{len(value)} bytes that are no LoggedAnswer") from error
    return LoggedAnswer(
        attribution_token=message.attribution_token,
        shop_id=message.shop_id,
        user_id=message.user_id,
        visitor_id=message.visitor_id,
        answered_at=message.answered_at.seconds * _SECOND + message.answered_at.nanos // 1_000,
        took=message.took.seconds * _SECOND + message.took.nanos // 1_000,
        method=message.method,
        scenario=message.scenario,
        source=message.source,
        fallback_cause=message.fallback_cause,
        model_version=message.model_version,
        arms=tuple((each.experiment, each.arm) for each in message.arms),
        products=tuple(
            LoggedProduct(each.product_id, each.merchant_id, each.score, each.reason)
            for each in message.products
        ),
        attribution=_rule(message.attribution),
    )


def _rule(message: pb.AttributionRule) -> Attribution:
    usual = Attribution()
    return Attribution(
        window_hours=min(message.window_hours, LONGEST_WINDOW_HOURS) or usual.window_hours,
        credit=_CREDIT_OF.get(message.credit, usual.credit),
        after=_AFTER_OF.get(message.after, usual.after),
    )
