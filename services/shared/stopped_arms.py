"""Arms that a guard has stopped, as attribution tells the servers of them through Redis.

Attribution adds, and nothing is ever taken away: an arm that did harm does none again because
somebody looks once more. Who wants to try it again, repaired, takes another name and salt for the
experiment, as for any other change of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, cast

import msgspec

KEPT_SECONDS: Final = 400 * 24 * 3600
"""After the last look at an experiment of the shop that has such an arm."""


class StoppedArm(msgspec.Struct, frozen=True, kw_only=True):
    """An arm whose shoppers are served as the control's, as a guard has fallen."""

    experiment: str
    arm: str
    harm: str
    """What the guard watches, see :data:`services.shared.experiments.Harm`. Of several the one
    with most evidence."""
    at: datetime
    """The look that found it."""

    @property
    def field(self) -> bytes:
        """Its name among a shop's; names have no slash."""
        return f"{self.experiment}/{self.arm}".encode()


encode_stopped = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(StoppedArm).decode


def stopped_arms_of(reply: object) -> list[StoppedArm]:
    """The arms in a shop's hash, as either version of Redis' protocol answers it.

    Raises ValueError for what is none.
    """
    values = reply.values() if isinstance(reply, Mapping) else cast("Sequence[bytes]", reply)[1::2]
    return [_decode(value) for value in values]
