"""Finds checks that others wrote: by the entry points of installed packages, and by name.

A package offers checks in its ``pyproject.toml``; they are asked whenever it is installed::

    [project.entry-points."attune.gates"]
    margins = "our_gates:Margins"

``--check module:name`` asks one for a single run. What is named is a check, or a class that
makes one without arguments.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any, Final

from model_export.errors import CheckUnusable
from model_export.gate.verdict import Check

GROUP: Final = "attune.gates"


def plugged_in(named: Iterable[str], *, taken: Iterable[str]) -> list[Check]:
    """Checks of installed packages by their entry point's name, then those that are named.

    One that is found both ways is asked once. Raises CheckUnusable where one cannot be made,
    or where two share a name, also with one that is ``taken``.
    """
    installed = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    found = {entry.value: entry.name for entry in installed}
    for text in named:
        found.setdefault(text, text)
    checks = [_check(value, called) for value, called in found.items()]
    names = [*taken, *(each.name for each in checks)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CheckUnusable(f"two checks are called {', '.join(twice)}: one must be left out")
    return checks


def _check(value: str, called: str) -> Check:
    """The check that ``module:name`` is or makes."""
    module, colon, name = value.partition(":")
    if not (module and colon and name):
        raise CheckUnusable(f"{value} names no check: write it as module:name")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        made = found() if isinstance(found, type) else found
    except Exception as error:  # whatever a plug-in's own code raises
        raise CheckUnusable(f"check {called} cannot be loaded from {value}: {error}") from error
    if not isinstance(made, Check):
        raise CheckUnusable(
            f"{value} is no check: it needs a name and judge(comparison), "
            "see model_export.gate.verdict.Check"
        )
    return made
