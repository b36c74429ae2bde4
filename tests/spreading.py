"""Which tests stay together where several processes share them (pytest-xdist).

Tests for which their module has started something run in one process, so that it is started
once. What a machine has only once, such as a stack's usual ports, is for the tests of one group:
they say so with ``pytest.mark.xdist_group``. Any other test goes to the process that is free.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest


def keep_together(items: Iterable[pytest.Item]) -> None:
    """Give each test that shares a fixture of its module a group, if it has not said which."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None and _shares(item):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def _shares(item: pytest.Item) -> bool:
    """Whether something of the module's, or of the session's beside servers, is made for it."""
    if not isinstance(item, pytest.Function):
        return False
    made = item._fixtureinfo.name2fixturedefs.values()
    return any(definition.scope == "module" for definitions in made for definition in definitions)
