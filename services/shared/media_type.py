"""How a Kafka record's value is written: its ``content-type`` header, JSON where there is none."""

from __future__ import annotations

from typing import Final

JSON: Final = "application/json"
PROTOBUF: Final = "application/protobuf"


def media_type(content_type: str) -> str:
    """The type without its parameters, such as ``application/json``; JSON for ""."""
    return content_type.partition(";")[0].strip().lower() or JSON
