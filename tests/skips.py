"""In CI a skipped test is a failure unless ``tests/allowed_skips.txt`` names it.

A test that silently stops running looks like one that passes; so the list is short, and
each line says why.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

import pytest

ALLOWED = Path(__file__).with_name("allowed_skips.txt")


class SkipsNeedPermission:
    """Collects skipped tests and fails the session for those that may not be."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = list(patterns)
        self._unlisted: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a skip."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module skipped as a whole."""
        if report.skipped:
            self._note(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a session that would have passed."""
        if self._unlisted and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which skips failed it."""
        for name in self._unlisted:
            terminalreporter.write_line(
                f"SKIPPED AND NOT ALLOWED TO BE (tests/allowed_skips.txt): {name}", red=True
            )

    def _note(self, name: str) -> None:
        if not any(fnmatch(name, pattern) for pattern in self._patterns):
            self._unlisted.append(name)


def patterns(text: str) -> list[str]:
    """The first word of each line that is no comment."""
    lines = (line.strip() for line in text.splitlines())
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


def register(config: pytest.Config) -> None:
    """Guard the session if the variable CI is set.

    Where several processes share the tests, the one that they report to sees every skip.
    """
    if os.environ.get("CI") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipsNeedPermission(patterns(ALLOWED.read_text())))
