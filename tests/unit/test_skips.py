"""The guard that fails a run in CI for a skipped test."""

from __future__ import annotations

import pytest

from tests.skips import ALLOWED, patterns

GUARD = """
import pytest
from tests.skips import SkipsNeedPermission
def pytest_configure(config):
    config.pluginmanager.register(SkipsNeedPermission(["*allowed*"]))
"""
SKIPPED = "import pytest\ndef test_{name}():\n    pytest.skip('no reason')\n"


def run(pytester: pytest.Pytester, name: str) -> pytest.RunResult:
    """Run one skipped test under the guard, in a process of its own."""
    pytester.makeconftest(GUARD)
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(SKIPPED.format(name=name))
    return pytester.runpytest_inprocess("-p", "no:cacheprovider")


def test_skip_that_is_not_listed_fails_the_run(pytester: pytest.Pytester) -> None:
    """One skip without permission, and the exit status is that of a failure."""
    result = run(pytester, "forgotten")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*NOT ALLOWED*test_forgotten*"])


@pytest.mark.parametrize("text", [SKIPPED, "import pytest\npytest.skip(allow_module_level=True)"])
def test_a_skip_in_another_process_fails_the_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Where several processes share the tests, the skip of one or of a whole module is seen."""
    monkeypatch.setenv("CI", "true")
    pytester.makeconftest("from tests.skips import register as pytest_configure")
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(text.format(name="forgotten"))
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-n1")
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*NOT ALLOWED*a_skip_in_another_process*"])


def test_skip_that_is_listed_passes(pytester: pytest.Pytester) -> None:
    """A listed skip changes nothing."""
    assert run(pytester, "allowed").ret == pytest.ExitCode.OK


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_the_guard_stands_where_ci_says_so(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, status: int
) -> None:
    """Our own conftest's hook fails the run if CI is set, and only then; `.ci/run` sets it."""
    monkeypatch.setenv("CI", ci)
    pytester.makeconftest("from tests.skips import register as pytest_configure")
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(SKIPPED.format(name="forgotten"))
    assert pytester.runpytest_inprocess("-p", "no:cacheprovider").ret == status
    run = (ALLOWED.parents[1] / ".ci/run").read_text()
    assert run.index("export CI=true\n") < run.index("make check\nmake test\n")


def test_list_is_short_and_says_why() -> None:
    """Each allowed skip has a reason beside it, and there are few."""
    text = ALLOWED.read_text()
    listed = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(patterns(text)) == len(listed) <= 8
    assert all(len(line.split(maxsplit=1)) == 2 for line in listed)
