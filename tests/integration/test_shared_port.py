"""Two servers on one port, where both are told to share it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.services import EmbeddedService, is_serving, recommendations_server
from deploy.local.supervised import port_for
from services.shared.identity import add_key
from tests.stack import started
from tests.tiny_bundle import make_bundle
from tests.waiting import eventually


@pytest.fixture
def settings(
    kafka_servers: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> dict[str, str]:
    """Of servers that want the same port."""
    add_key(tmp_path / "keys.json", shop_id="demo", scopes=["recommendations.read"])
    return {
        "KAFKA_SERVERS": kafka_servers,
        "TOPIC_PREFIX": topic_prefix,
        "REDIS_URL": redis_url,
        "BUNDLE": str(make_bundle(tmp_path / "bundle", {"mug": (1.0, 0.0)})),
        "API_KEYS_FILE": str(tmp_path / "keys.json"),
        "PORT": str(port_for("shared", None)),
    }


def server(settings: dict[str, str], log: Path, **more: str) -> EmbeddedService:
    """One of them."""
    return recommendations_server({**settings, **more}, log)


def test_two_servers_share_a_port(settings: dict[str, str], tmp_path: Path) -> None:
    """While one ends the other takes its calls: nobody need stop to change a server."""
    one = server(settings, tmp_path / "one.log", SHARE_PORT="true")
    other = server(settings, tmp_path / "other.log", SHARE_PORT="true")
    with started(one), started(other):
        one.wait_ready()
        other.wait_ready()
        assert one.stop() == 0
        eventually(lambda: is_serving(other.address), within=30)


def test_a_port_is_not_shared_unasked(settings: dict[str, str], tmp_path: Path) -> None:
    """A second server on a taken port says so, and does not take half of the first one's calls."""
    with started(server(settings, tmp_path / "one.log")) as one:
        one.wait_ready()
        second = server(settings, tmp_path / "two.log")
        with started(second):
            eventually(lambda: second.process.poll() is not None, within=30)
            assert second.process.returncode == 2
            assert "is the port taken" in second.log_path.read_text()
