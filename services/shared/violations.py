"""Where in a message a limit is broken, as protovalidate tells it."""

from __future__ import annotations

from typing import Any


def path_of(violation: Any) -> str:
    """The field's path, such as ``purchase.lines[2].quantity``; "" is the whole message.

    ``violation`` is one of ``protovalidate.Validator.collect_violations``.
    """
    field = violation.proto.field
    return ".".join(
        element.field_name + (f"[{element.subscript.value}]" if element.subscript else "")
        for element in (field.elements if field else ())
    )
