"""Words of shoppers and of catalogues, so that what is the same reads the same.

Written once, used to prepare data and to serve: a query is known again however it was typed.
No language is assumed. Text is brought to Unicode's compatibility form (NFKC: full-width
letters are letters) and case-folded; words are runs of letters and digits; each character of
Chinese and Japanese script is a word of its own, as those are written without spaces.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_WIDE: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002ebef"
_WORD: Final = re.compile(rf"[{_WIDE}]|\d+(?:[.,]\d+)+|[^\W_{_WIDE}]+")
_BETWEEN_WIDE: Final = re.compile(rf"(?<=[{_WIDE}]) (?=[{_WIDE}])")


def tokens(text: str) -> list[str]:
    """The words in the order in which they stand, repeats included.

    ``"Blue MUG, 0.3 l"`` → ``["blue", "mug", "0.3", "l"]``; ``"蓝色杯子"`` → four words.
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def normalised(text: str) -> str:
    """The words with one space between them, none between wide characters; "" where none is."""
    return _BETWEEN_WIDE.sub("", " ".join(tokens(text)))
