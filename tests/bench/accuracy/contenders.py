"""Who is compared, and how each is started."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from tests.bench.accuracy.racing import Contender
from tests.bench.report import ROOT

RECTOOLS_PYTHON: Final = ROOT / ".venv-rectools/bin/python"

RECTOOLS: Final = Contender(
    "rectools", (str(RECTOOLS_PYTHON), "-m", "tests.bench.accuracy.rectools_contender")
)
ATTUNE: Final = Contender("attune", (sys.executable, "-m", "tests.bench.accuracy.attune_contender"))
CONTENDERS: Final[Sequence[Contender]] = (ATTUNE, RECTOOLS)
"""Ours is first: the others are what it is held against."""
