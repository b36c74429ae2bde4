"""CEL as far as we compute it: the library parses and checks, told of this subset only.

So that what lies outside is refused by CEL's own checker, with the place. How operators and
functions behave is said in ``functions`` and ``nodes``, which tests hold equal to the
evaluator of the same library.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from functools import cache
from typing import Final

from cel.expr.checked_pb2 import CheckedExpr
from cel_expr_python import cel
from google.protobuf.any_pb2 import Any as AnyMessage

from services.recommendations.domain.filters.errors import BadExpression, Place
from services.recommendations.domain.filters.fields import FIELDS
from services.recommendations.domain.filters.functions import FUNCTIONS

TEXT_LIMIT: Final = 2_000
"""Characters of an expression."""

_FORMS: Final = {
    "_&&_": ("logical_and",),
    "_||_": ("logical_or",),
    "!_": ("logical_not",),
    "_?_:_": ("conditional",),
    "_[_]": ("index_map",),
    "@in": ("in_map",),
    "matches": ("matches", "matches_string"),
    "@not_strictly_false": ("not_strictly_false",),
}
"""What is more than a function of values, by CEL's names of functions and overloads."""

_MACROS: Final = ("has", "exists", "all")

_TYPES: Final = {
    "bool": cel.Type.BOOL,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "string": cel.Type.STRING,
    "list(string)": cel.Type.List(cel.Type.STRING),
    "map(string, string)": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
}

_REFUSED: Final = re.compile(r"<input>:(\d+):(\d+): (.*?)(?: \[INVALID_ARGUMENT\])?$", re.MULTILINE)
_NO_OVERLOAD: Final = re.compile(r"found no matching overload for '(.+)' applied to '(.+)'")
_SYNTAX: Final = re.compile(r"Syntax error: (?:mismatched|extraneous) input '(.*)' expecting .*")
_UNDECLARED: Final = re.compile(r"undeclared reference to '(.+)' \(in container ''\)")
_NAME: Final = re.compile(r"[A-Za-z][\w.]*")
MESSAGE_LIMIT: Final = 300
"""Characters of what the library says."""


@cache
def environment() -> cel.Env:
    """The library's own environment: the fields, the subset. Made once, in a millisecond."""
    return cel.NewEnv(
        config=cel.NewEnvConfigFromYaml(_standard_library()),
        variables={name: _TYPES[type_] for name, type_ in FIELDS.items()},
        functions=_added_functions(),
    )


def _standard_library() -> str:
    """Which functions of CEL's standard library there are, as the library wants to be told."""
    overloads: dict[str, list[str]] = defaultdict(list)
    for function, names in _FORMS.items():
        overloads[function] += names
    for name, overload in FUNCTIONS.items():
        if not overload.operands:
            overloads[overload.function].append(name)
    functions = [
        {"name": function, "overloads": [{"id": name} for name in names]}
        for function, names in overloads.items()
    ]
    return json.dumps(
        {
            "name": "filters",
            "stdlib": {"include_macros": list(_MACROS), "include_functions": functions},
        }
    )


def _added_functions() -> list[cel.FunctionDecl]:
    """Those that the standard library's checker does not have so."""
    added: dict[str, list[cel.Overload]] = defaultdict(list)
    for name, overload in FUNCTIONS.items():
        if overload.operands:
            operands = [_TYPES[operand] for operand in overload.operands]
            added[overload.function].append(cel.Overload(name, cel.Type.BOOL, operands))
    return [cel.FunctionDecl(function, overloads) for function, overloads in added.items()]


def checked(text: str) -> CheckedExpr:
    """The syntax tree with types. Raises BadExpression."""
    if len(text) > TEXT_LIMIT:
        sentence = f"an expression has at most {TEXT_LIMIT:,} characters"
        raise BadExpression(sentence, place_of(text, TEXT_LIMIT))
    try:
        text.encode()
        packed = AnyMessage.FromString(environment().compile(text).serialize())
    except UnicodeEncodeError as error:
        raise BadExpression("this is no character", place_of(text, error.start)) from error
    except RuntimeError as error:
        raise _refusal(text, str(error)) from error
    tree = CheckedExpr()
    packed.Unpack(tree)
    return tree


def place_of(text: str, offset: int) -> Place:
    """Where the character at ``offset`` stands."""
    before = text[:offset]
    return Place(before.count("\n") + 1, offset - before.rfind("\n"))


def _refusal(text: str, told: str) -> BadExpression:
    """The first thing that the library finds wrong; without a place, what is nested too deeply.

    A function that is not there comes before others: of ``map(c, …)`` the checker takes ``c``
    for the first thing wrong.
    """
    found = _REFUSED.findall(told)
    if not found:
        return BadExpression("this is nested too deeply", Place(1, 1))
    functions = [each for each in found if _calls_unknown(text, each[2])]
    line, column, message = (functions or found)[0]
    return BadExpression(_in_our_words(message)[:MESSAGE_LIMIT], Place(int(line), int(column)))


def _calls_unknown(text: str, message: str) -> bool:
    name = _UNDECLARED.fullmatch(message)
    return name is not None and f"{name[1]}(" in text


def _in_our_words(message: str) -> str:
    """What is said most often, without the library's inner names."""
    if found := _NO_OVERLOAD.fullmatch(message):
        function, types = found.groups()
        sentence = f"{_called(function)!r} does not take {types}"
        mixed = {"double", "int"} <= set(re.findall(r"\w+", types))
        return f"{sentence}; write a double as 2.0" if mixed else sentence
    if found := _UNDECLARED.fullmatch(message):
        return f"there is no {_called(found[1])!r} here"
    if found := _SYNTAX.fullmatch(message):
        return "something is missing" if found[1] == "<EOF>" else f"{found[1]!r} cannot stand here"
    return message


def _called(name: str) -> str:
    """A field's or function's own name; of an operator, such as ``_?_:_``, its signs."""
    bare = name.lstrip("@")
    return bare if _NAME.fullmatch(bare) else bare.replace("_", "") or name
