"""Text as words that can be compared: lower case, singular, in the order they stand."""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_ENDINGS: Final = ("ss", "us", "is")


def words_of(text: str) -> list[str]:
    """The distinct words of ``text``, in order; each Chinese character is a word.

    A plain English plural is its singular ("BANANAS" is "banana"), since a shopper types
    one and the catalogue says the other; a finer stemmer would need to know the language.
    """
    return list(dict.fromkeys(_singular(word) for word in _WORD.findall(text.lower())))


def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith(_ENDINGS):
        return word[:-1]
    return word
