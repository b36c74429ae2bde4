"""A server with one bundle for all shops: it has read histories before it answers anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.recommendations.adapters import model_loading
from services.recommendations.adapters.model import Model
from services.recommendations.models import models_of
from services.recommendations.settings import Settings
from tests.tiny_bundle import make_bundle


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of such a server."""
    folder = make_bundle(tmp_path / "bundle", {"tea": (1.0, 0.0), "mug": (0.0, 1.0)})
    return Settings(
        kafka_servers="nowhere", redis_url="redis://nowhere", api_keys_file="", bundle=str(folder)
    )


def test_its_model_warms_up_with_the_golden_inputs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start, as there are no shoppers yet: the first one is not the one who waits."""
    read, lengths = Model.read, []

    def noted(self: Model, did: list[object], *more: object) -> object:
        lengths.append(len(did))
        return read(self, did, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Model, "read", noted)
    assert models_of(settings).answering.of("demo").version
    assert len(lengths) > 1
    assert any(lengths)


def test_a_model_that_is_slow_starts_all_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unlike in a registry: there is no other that could answer."""
    monkeypatch.setattr(model_loading, "SLOWEST_SECONDS", 0.0)
    assert models_of(settings).answering.of("demo").version
