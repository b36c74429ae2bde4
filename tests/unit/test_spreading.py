"""Which tests stay together where several processes share them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spreading import TOGETHER

ROOT = Path(__file__).parents[2]
CONFTEST = "from tests.spreading import by_module as pytest_xdist_make_scheduler"
WHERE = """
import os, pathlib
def test_{n}(): pathlib.Path({out!r}).open("a").write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""


def test_modules_that_want_the_same_are_run_by_one_process(pytester: pytest.Pytester) -> None:
    """Another one is run by the other process, which would else have taken one of them."""
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    stacks = [module for module, what in TOGETHER.items() if what == "usual ports"]
    for module in (*stacks, "tests/unit/test_other.py"):
        path = pytester.path / module
        path.parent.mkdir(parents=True, exist_ok=True)
        out = str(pytester.path / ("together" if module in stacks else "apart"))
        path.write_text("".join(WHERE.format(n=n, out=out) for n in range(5)))
    command = ("-p", "no:cacheprovider", "-n2", "--import-mode=importlib", "tests")
    assert pytester.runpytest_inprocess(*command).ret == pytest.ExitCode.OK
    together, apart = ((pytester.path / n).read_text().split() for n in ("together", "apart"))
    assert len(stacks) > 1
    assert (len(together), len(apart)) == (5 * len(stacks), 5)
    assert (len(set(together)), len(set(apart)), len({*together, *apart})) == (1, 1, 2)


def test_modules_that_stay_together_are_there() -> None:
    """A module of another name would be run beside those that it is to be kept from."""
    assert all((ROOT / module).is_file() for module in TOGETHER)
