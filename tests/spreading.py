"""Which tests stay together where several processes share them (``pytest -n 2``).

A module's tests run in one process, so that what they share is started once, and modules in the
order of their names: those that wait for servers first, those of ``tests/unit`` fill the end.
pytest-xdist's own way to keep modules together, a mark, says nothing to this version of pytest.
"""

from __future__ import annotations

from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = {
    # A stack takes the usual ports where they are free; two that start at once want the same.
    "tests/e2e/test_demo.py": "usual ports",
    "tests/e2e/test_demo_serving.py": "usual ports",
    "tests/e2e/test_new_shop.py": "usual ports",
    "tests/integration/test_local_commands.py": "usual ports",
    # One control plane at a time is enough for a small machine.
    "tests/integration/test_chart_install.py": "control plane",
    "tests/integration/test_chart_pods.py": "control plane",
}


class ByModule(LoadScopeScheduling):  # type: ignore[misc]  # the library is not typed
    """Gives a process that is free the next module."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return TOGETHER.get(module, module)


def by_module(config: pytest.Config, log: Producer) -> ByModule:
    """What pytest-xdist is to share the tests out with."""
    config.option.loadscopereorder = False  # else modules with many tests would go first
    return ByModule(config, log)
