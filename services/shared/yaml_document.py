"""YAML documents that people write: read into frozen structs, mistakes told by line.

YAML's own conveniences that surprise are left out: a word is a text unless the struct asks for a
number or a truth value (so ``no`` is Norway where a text is asked for), a name stands once, and
there are no anchors, which a small document could be blown up by, and no tags.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent, Event, NodeEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from services.shared.errors import BadInput

DOCUMENT_LIMIT: Final = 262_144
"""Characters."""
DEEPEST: Final = 20
MISTAKES: Final = 20
"""At most so many are told at once."""

_WORDS: Final = {
    "`array`": "a list",
    "`object`": "names with values",
    "`float`": "a number",
    "`int`": "a whole number",
    "`str`": "a text",
    "`bool`": "true or false",
    "`null`": "nothing",
    "Object missing required field": "missing here:",
}
"""What msgspec speaks of, in words of those who write YAML."""

S = TypeVar("S", bound=msgspec.Struct)

Path = tuple[str | int, ...]
"""Names of mappings and numbers of places in lists, from the top down."""


class Mistake(NamedTuple):
    """One thing that is wrong; lines and columns count from 1. They sort by their places."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


class BadDocument(BadInput):
    """A document cannot be read; ``mistakes`` has at least one."""

    code = "DOCUMENT_INVALID"

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = mistakes


def decoded(data: bytes) -> str:
    """The text of a document. Raises BadDocument for what is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        good = data[: error.start].decode()
        raise BadDocument([_after(good, "this is not UTF-8")]) from error


class Document:
    """A document in two forms: what it says, and where it says so."""

    def __init__(self, text: str) -> None:
        """Parse ``text``. Raises BadDocument."""
        if len(text) > DOCUMENT_LIMIT:
            raise BadDocument([Mistake(1, 1, f"longer than {DOCUMENT_LIMIT:,} characters")])
        self._lines = text.splitlines()
        self._root = _composed(text)
        _check(self._root)

    def read(self, kind: type[S]) -> S:
        """The document as ``kind``. Raises BadDocument, which names each mistake's place."""
        try:
            return msgspec.convert(_plain(self._root), kind, strict=False)
        except (msgspec.ValidationError, ValueError) as error:
            found = list(_mistakes(self._root, kind))[:MISTAKES]
            raise BadDocument(found or [_at(self._root, _worded(str(error)))]) from error

    def mistake(self, path: Path, message: str) -> Mistake:
        """``message``, at the place of ``path``: names of mappings and numbers of lists.

        Where the path leads out of the document, its last place within counts.
        """
        name, _ = self._found(path)
        return _at(name, message)

    def mistake_within(self, path: Path, line: int, column: int, message: str) -> Mistake:
        """``message``, at a place in the text at ``path``; its lines and columns count from 1.

        Where the text does not stand in the document as it is read, such as one that is folded, it
        is where the text begins, and the message says the place.
        """
        _, node = self._found(path)
        place = self._place_within(node, line, column)
        if place is None:
            return _at(node, f"line {line}, column {column} of this text: {message}")
        return Mistake(*place, message)

    def _place_within(self, node: Node, line: int, column: int) -> tuple[int, int] | None:
        """Line and column in the document; None where a text is written in another way there."""
        said = node.value.split("\n")[line - 1 : line] if isinstance(node, ScalarNode) else []
        if not isinstance(node, ScalarNode) or not any(said):
            return None
        first, begins = _start(node)
        is_block = node.style == "|"
        row = first + line - (0 if is_block else 1)
        written = self._lines[row] if row < len(self._lines) else ""
        start = len(written) - len(said[0]) if is_block else begins + bool(node.style)
        is_there = start >= 0 and written.startswith(said[0], start) and (is_block or line == 1)
        return (row + 1, start + column) if is_there else None

    def _found(self, path: Path) -> tuple[Node, Node]:
        """The node at ``path``, and before it that of its name, where it has one."""
        name = node = self._root
        for step in path:
            below = _below(node, step)
            if below is None:
                break
            name, node = below
        return name, node


def _composed(text: str) -> Node:
    try:
        text.encode()
        _refuse(yaml.parse(text, Loader=yaml.CSafeLoader))
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except UnicodeEncodeError as error:
        raise BadDocument([_after(text[: error.start], "this is no character")]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise BadDocument([Mistake(*place, error.problem or "no YAML")]) from error
    except yaml.YAMLError as error:  # such as a character that YAML does not have
        raise BadDocument([Mistake(1, 1, " ".join(str(error).split()))]) from error
    if root is None:
        raise BadDocument([Mistake(1, 1, "the document is empty")])
    return root


def _refuse(events: Iterator[Event]) -> None:
    """Refuse what is left out of YAML, see the module, as it is read.

    What is nested deeply would overflow the stack of the library, and of what follows here.
    """
    depth = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent)
        depth -= isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise BadDocument([_at(event, f"nested deeper than {DEEPEST}")])
        if isinstance(event, NodeEvent) and event.anchor is not None:
            raise BadDocument([_at(event, "anchors are not read here: write it out")])
        if getattr(event, "tag", None) is not None:
            raise BadDocument([_at(event, "tags are not read here")])


def _check(node: Node) -> None:
    """Refuse names that are no words, or stand twice."""
    if isinstance(node, MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise BadDocument([_at(key, "a name must be a word")])
            if key.value in names:
                raise BadDocument([_at(key, f"{key.value} stands twice")])
            names.add(key.value)
            _check(value)
    elif isinstance(node, SequenceNode):
        for each in node.value:
            _check(each)


def _plain(node: Node) -> Any:
    """What a node says; all scalars as text, which the struct's types read."""
    if isinstance(node, MappingNode):
        return {key.value: _plain(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [_plain(each) for each in node.value]
    bare = isinstance(node, ScalarNode) and not node.style  # neither in quotes nor a block
    return None if bare and node.value in ("", "~", "null") else node.value


def _mistakes(node: Node, kind: Any) -> Iterator[Mistake]:
    """The innermost nodes that are not of their kind, each with what msgspec says of it."""
    found = False
    for child, part, unknown in _parts(node, kind):
        if unknown:
            found = True
            yield _at(child, unknown)
        else:
            for mistake in _mistakes(child, part):
                found = True
                yield mistake
    if found:
        return
    try:
        msgspec.convert(_plain(node), kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        message = _worded(str(error))
        of_whole = _below(node, message.partition(":")[0])  # as a struct's own checks begin
        yield _at(of_whole[0] if of_whole else node, _choice(node, kind) or message)


def _choice(node: Node, kind: Any) -> str:
    """What there is, where a word is none of it."""
    if get_origin(kind) is not Literal or not isinstance(node, ScalarNode):
        return ""
    return f"{node.value} is not known here; there are {', '.join(map(str, get_args(kind)))}"


def _worded(message: str) -> str:
    message, _, _ = message.partition(" - at `")
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return message


def _parts(node: Node, kind: Any) -> Iterator[tuple[Node, Any, str]]:
    """What a node is made of, each with the kind it should have, or why it should not be there."""
    kind = _without_none(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if (
        isinstance(node, MappingNode)
        and isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
    ):
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        for key, value in node.value:
            known = key.value in fields
            why = "" if known else f"{key.value} is not known here; there are {', '.join(fields)}"
            yield (value if known else key), fields.get(key.value), why
    elif isinstance(node, MappingNode) and origin in (dict, Mapping):
        for key, value in node.value:
            yield key, arguments[0], ""
            yield value, arguments[1], ""
    elif isinstance(node, SequenceNode) and origin in (tuple, list):
        same = origin is list or arguments[-1] is Ellipsis
        for place, each in enumerate(node.value):
            if same or place < len(arguments):
                yield each, arguments[0 if same else place], ""


def _without_none(kind: Any) -> Any:
    """The kind itself, where it may also be none, or carries limits of its own."""
    if get_origin(kind) in (Union, types.UnionType):
        some = [each for each in get_args(kind) if each is not type(None)]
        return some[0] if len(some) == 1 else kind
    return get_args(kind)[0] if hasattr(kind, "__metadata__") else kind


def _below(node: Node, step: str | int) -> tuple[Node, Node] | None:
    """What is at the next step, with its name before it; in a list it is its own."""
    if isinstance(node, MappingNode):
        return next((pair for pair in node.value if pair[0].value == step), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _at(place: Node | Event, message: str) -> Mistake:
    line, column = _start(place)
    return Mistake(line + 1, column + 1, message)


def _start(place: Node | Event) -> tuple[int, int]:
    """Line and column where it begins, from 0; the library always knows them of what it reads."""
    mark: Any = place.start_mark
    return mark.line, mark.column


def _after(text: str, message: str) -> Mistake:
    """At the character that follows ``text``."""
    lines = (text + ".").splitlines()
    return Mistake(len(lines), len(lines[-1]), message)
