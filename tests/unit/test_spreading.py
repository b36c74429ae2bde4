"""Which tests stay together where several processes share them."""

from __future__ import annotations

import pytest

from tests.spreading import keep_together

MODULE = """
import pytest

@pytest.fixture(scope="session")
def kafka(): ...

@pytest.fixture(scope="module")
def server(kafka): ...

@pytest.fixture
def shop(server): ...

def test_of_the_server(shop): ...
def test_beside_it(server): ...
def test_of_kafka(kafka): ...
def test_alone(): ...

@pytest.mark.xdist_group("ports")
def test_that_said_so(server): ...
"""


def test_what_shares_its_modules_server_stays_together(pytester: pytest.Pytester) -> None:
    """Also by way of another fixture; the session's servers bind no test to another."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    items = pytester.getitems(MODULE)
    keep_together(items)
    marks = [(item.name, item.get_closest_marker("xdist_group")) for item in items]
    module = items[0].nodeid.partition("::")[0]
    assert {name: mark and mark.args[0] for name, mark in marks} == {
        "test_of_the_server": module,
        "test_beside_it": module,
        "test_of_kafka": None,
        "test_alone": None,
        "test_that_said_so": "ports",
    }
