"""From what became of events to the messages of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attune.events.v1 import event_service_pb2 as pb

from services.events.domain.record import Position, Unacknowledged
from services.shared.errors import EventRefused, EventsRefused, KafkaUnavailable

Outcome = Position | Unacknowledged | EventRefused

TOLD: Final = 5
"""So many refusals stand in the message of a call that fails; the details have all of them."""


def outcome_of(outcome: Outcome) -> str:
    """``written``, or the code of what it is not."""
    if isinstance(outcome, Position):
        return "written"
    return outcome.code if isinstance(outcome, EventRefused) else KafkaUnavailable.code


def response(outcomes: Sequence[Outcome]) -> pb.WriteResponse:
    """The answer of a call of which something was written.

    Raises EventsRefused where every event is wrong, and KafkaUnavailable where nothing was
    written but may be in another try.
    """
    if any(isinstance(outcome, Position) for outcome in outcomes):
        return pb.WriteResponse(results=[_result(outcome) for outcome in outcomes])
    late = next((each for each in outcomes if isinstance(each, Unacknowledged)), None)
    if late is None:
        raise _refused([each for each in outcomes if isinstance(each, EventRefused)])
    raise KafkaUnavailable(
        f"{late.reason}. Of {len(outcomes)} events none was acknowledged; repeat them with the "
        "same event ids"
    )


def _result(outcome: Outcome) -> pb.WriteResult:
    if isinstance(outcome, Position):
        return pb.WriteResult(position=pb.Position(**outcome._asdict()))
    if isinstance(outcome, Unacknowledged):
        late = pb.Refusal(code=KafkaUnavailable.code, reason=outcome.reason, retriable=True)
        return pb.WriteResult(refusal=late)
    fields = [path for path, _ in outcome.fields if path]
    wrong = pb.Refusal(code=outcome.code, reason=str(outcome)[:1_000], fields=fields)
    return pb.WriteResult(refusal=wrong)


def _refused(refusals: Sequence[EventRefused]) -> EventsRefused:
    fields = []
    for number, refusal in enumerate(refusals):
        for path, what in refusal.fields or [("", str(refusal))]:
            fields.append((f"events[{number}]" + (f".{path}" if path else ""), what))
    said = [f"events[{number}]: {refusal}" for number, refusal in enumerate(refusals[:TOLD])]
    more = [f"and {len(refusals) - TOLD} more"] if len(refusals) > TOLD else []
    return EventsRefused(
        {refusal.code for refusal in refusals}, "; ".join([*said, *more]), fields=fields
    )
