"""What people write as YAML is read as it was meant, and every mistake is told by its place."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.shared.yaml_document import (
    DEEPEST,
    DOCUMENT_LIMIT,
    MISTAKES,
    BadDocument,
    Document,
    Mistake,
    decoded,
)


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    kind: Literal["one", "two"] = "one"


class Whole(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    on: bool = False
    count: int = 0
    maybe: int | None = None
    parts: dict[str, Part] = {}
    texts: tuple[str, ...] = ()
    span: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        if self.count == 13:
            raise ValueError("count: thirteen is unlucky")


def read(text: str) -> Whole:
    return Document(text).read(Whole)


def mistakes(text: str) -> list[str]:
    with pytest.raises(BadDocument) as caught:
        read(text)
    assert caught.value.mistakes
    return [str(mistake) for mistake in caught.value.mistakes]


def test_a_word_is_a_text_unless_something_else_is_asked_for() -> None:
    """Norway's code and a version of 1.10 stay what they are."""
    assert read("name: no\ntexts: [yes, 1.10, 010, '', 2026-01-01, ~x]") == Whole(
        name="no", texts=("yes", "1.10", "010", "", "2026-01-01", "~x")
    )
    assert read("name: 5\non: true\ncount: '7'\nmaybe: null\nspan: [3, 4]") == Whole(
        name="5", on=True, count=7, span=(3, 4)
    )
    assert read("name: |\n  two\n  lines\nparts: {a: {share: 1}}").name == "two\nlines\n"


TOLD = [
    # what was written, and what is said of it
    ("", "line 1, column 1: the document is empty"),
    ("# nothing", "line 1, column 1: the document is empty"),
    ("name: a\nname: b", "line 2, column 1: name stands twice"),
    ("name: [", "line 2, column 1: did not find expected node content"),
    ("name: a\n---\nname: b", "line 2, column 1: but found another document"),
    ("name: a\x07", "line 1, column 1: unacceptable character #x0007"),
    ("name: \ud800", "line 1, column 7: this is no character"),
    ("a: b: c", "line 1, column 5: mapping values are not allowed in this context"),
    ("\tname: a", "line 1, column 1: found character that cannot start any token"),
    ("[a]: b", "line 1, column 1: a name must be a word"),
    ("name: &a b", "line 1, column 7: anchors are not read here: write it out"),
    ("name: a\ntexts: *a", "line 2, column 8: anchors are not read here"),
    ("name: !!str a", "line 1, column 7: tags are not read here"),
    ("name: a\nparts: !x {}", "line 2, column 8: tags are not read here"),
    ("- a", "line 1, column 1: Expected names with values, got a list"),
    ("name:", "line 1, column 6: Expected a text, got nothing"),
    ("on: true", "line 1, column 1: missing here: `name`"),
    ("name: a\nnam: b", "line 2, column 1: nam is not known here; there are name, on, count"),
    ("name: a\non: yes", "line 2, column 5: Expected true or false, got a text"),
    ("name: a\ncount: 1.5", "line 2, column 8: Expected a whole number, got a text"),
    ("name: a\ncount: 13", "line 2, column 1: count: thirteen is unlucky"),
    ("name: a\nparts:\n  x:\n    share: 2", "line 4, column 12: Expected a number <= 1.0"),
    ("name: a\nparts:\n  x:\n    share: nan", "line 4, column 12: Expected a number >= 0.0"),
    ("name: a\nparts:\n  x: {kind: six}", "line 3, column 13: six is not known here; there are"),
    ("name: a\nparts:\n  x:", "line 3, column 5: Expected names with values, got nothing"),
    ("name: a\ntexts: a", "line 2, column 8: Expected a list, got a text"),
    ("name: a\nspan: [1]", "line 2, column 7: Expected a list of length 2, got 1"),
    ("name: ''", "line 1, column 7: Expected a text of length >= 1"),
    (f"name: a\ncount: {'9' * 5_000}", "line 2, column 8: Integer value out of range"),
    ("x" * (DOCUMENT_LIMIT + 1), "line 1, column 1: longer than 262,144 characters"),
]


@pytest.mark.parametrize(("text", "said"), TOLD)
def test_a_mistake_is_told_with_line_and_column(text: str, said: str) -> None:
    """Both count from 1, and the sentence speaks of YAML, not of how it is read."""
    assert mistakes(text)[0].startswith(said)


def test_all_mistakes_are_told_at_once() -> None:
    """In the order of their places, up to a bound."""
    text = "name: a\non: maybe\nparts:\n  x: {share: 2, kind: six, more: 1}\ncount: b"
    assert [each.partition(":")[0] for each in mistakes(text)] == [
        "line 2, column 5",
        "line 4, column 14",
        "line 4, column 23",
        "line 4, column 28",
        "line 5, column 8",
    ]
    assert len(mistakes("\n".join(f"x{number}: 1" for number in range(99)))) == MISTAKES


@pytest.mark.parametrize("each", ["[", "{", "- ", "? ", "a: ["])
@pytest.mark.parametrize("times", [DEEPEST + 1, 5_000, 60_000])
def test_what_is_nested_deeply_is_refused(each: str, times: int) -> None:
    """A document of brackets must not overflow the stack of whoever reads it."""
    (said,) = mistakes(each * times)
    assert said.endswith(f"nested deeper than {DEEPEST}")


def test_bytes_that_are_no_text_are_told_by_their_place() -> None:
    """The line and the column of the first."""
    assert decoded("name: é".encode()) == "name: é"
    with pytest.raises(BadDocument) as caught:
        decoded(b"name: a\ntexts: [\xc3\xa9, \xff]")
    assert caught.value.mistakes == [Mistake(2, 12, "this is not UTF-8")]


WITHIN = """\
name: one two three
texts:
  - "a quoted text"
  - |
    first
      second
    third
  - >
    folded
    text
  - 'it''s'
  - several
    lines
  - "a\\nb"
  - ab
"""


@pytest.mark.parametrize(
    ("path", "place", "said"),
    [
        (("name",), (1, 5), "line 1, column 11: x"),
        (("texts", 0), (1, 3), "line 3, column 8: x"),
        (("texts", 1), (1, 2), "line 5, column 6: x"),
        (("texts", 1), (2, 3), "line 6, column 7: x"),
        (("texts", 1), (3, 6), "line 7, column 10: x"),
        (("texts", 1), (4, 1), "line 4, column 5: line 4, column 1 of this text: x"),
        (("texts", 2), (1, 8), "line 8, column 5: line 1, column 8 of this text: x"),
        (("texts", 3), (1, 2), "line 11, column 5: line 1, column 2 of this text: x"),
        (("texts", 4), (1, 9), "line 12, column 5: line 1, column 9 of this text: x"),
        (("texts", 5), (2, 1), "line 14, column 5: line 2, column 1 of this text: x"),
        (("texts", 9), (1, 1), "line 3, column 3: line 1, column 1 of this text: x"),
    ],
)
def test_a_mistake_within_a_text_is_told_by_its_place_in_the_document(
    path: tuple[str | int, ...], place: tuple[int, int], said: str
) -> None:
    """Where the text stands there as it is read; else where it begins, and where within it."""
    assert str(Document(WITHIN).mistake_within(path, *place, "x")) == said


def test_a_mistake_of_a_whole_is_told_where_its_name_stands() -> None:
    """Where the path leads out of the document, at its last place within."""
    document = Document("name: a\nparts:\n  x:\n    share: 1\n")
    assert document.mistake(("parts", "x"), "m") == Mistake(3, 3, "m")
    assert document.mistake(("parts", "y"), "m") == Mistake(2, 1, "m")
    assert document.mistake((), "m") == Mistake(1, 1, "m")


WORDS = ["name", "parts", "texts", "on", "a", ": ", "- ", "\n", "  ", "[", "]", "{", "}", "'", '"']
PIECES = st.sampled_from([*WORDS, "|", ">", "&a", "*a", "!x", "#", ",", "0.5", "\t", "é", "\ud800"])


@settings(max_examples=500)
@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No other error, and every mistake has a place within the text or right behind it."""
    found = [Mistake(1, 1, "")]
    try:
        read(text)
    except BadDocument as error:
        found = error.mistakes
    lines = (text + ".").splitlines()
    assert found
    assert all(1 <= each.line <= len(lines) + 1 for each in found)
    assert all(each.column >= 1 for each in found)
