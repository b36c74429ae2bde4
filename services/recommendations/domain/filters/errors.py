"""An expression that is refused, and where."""

from __future__ import annotations

from typing import NamedTuple

from services.shared.errors import BadInput


class Place(NamedTuple):
    """Where something stands in an expression; both count from 1, columns in characters."""

    line: int
    column: int


class BadExpression(BadInput):
    """An expression is no CEL, asks for what there is not, or is outside what we compute."""

    code = "EXPRESSION_INVALID"

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(f"line {place.line}, column {place.column}: {message}")
        self.line, self.column = place
        self.sentence = message
        """What is wrong, without the place."""

    def in_field(self, name: str) -> BadExpression:
        """The same, told of that field of a request."""
        self.fields = ((name, str(self)),)
        return self
