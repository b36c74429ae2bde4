"""Who is compared, and how each is started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.bench.accuracy.racing import Contender
from tests.bench.report import ROOT

RECTOOLS_PYTHON: Final = ROOT / ".venv-rectools/bin/python"

RECTOOLS: Final = Contender(
    "rectools", (str(RECTOOLS_PYTHON), "-m", "tests.bench.accuracy.rectools_contender")
)
CONTENDERS: Final[Sequence[Contender]] = (RECTOOLS,)
"""Ours is first: the others are what it is held against."""
