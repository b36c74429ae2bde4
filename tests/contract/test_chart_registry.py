"""The registry of models in the chart: where it lies, and what servers may reach of it."""

from __future__ import annotations

from typing import Any

from tests.chart import EVERYTHING, Manifest, container, find, pod, render
from tests.contract.test_chart_archive import claims, mounted, reached

CACHE = "/var/cache/attune"


def servers(manifests: list[Manifest]) -> Manifest:
    return find(manifests, "Deployment", "recommendations")


def with_registry(**values: Any) -> list[Manifest]:
    """The chart with a registry of ``values``."""
    return render({"recommendations": {"registry": {"shops": ["demo"], **values}}})


def test_there_is_none_unless_it_is_asked_for() -> None:
    """Neither a cache nor a port is opened for nothing."""
    workload = servers(render())
    assert mounted(workload).keys() == {"api-keys", "master-key", "tmp"}
    assert "envFrom" not in container(workload)
    assert reached(render(), "recommendations") == {53, 9092, 6379}


def test_an_object_store_needs_a_cache_and_credentials() -> None:
    """And its ports: the recommendations servers reach them, the events servers do not."""
    manifests = render(EVERYTHING)
    workload = servers(manifests)
    assert claims(workload) == {}
    assert mounted(workload)["models"] == CACHE
    [cache] = [each for each in pod(workload)["volumes"] if each["name"] == "models"]
    assert cache["emptyDir"] == {"sizeLimit": "200Mi"}
    assert container(workload)["envFrom"] == [{"secretRef": {"name": "other-registry"}}]
    assert reached(manifests, "recommendations") == {53, 9093, 6380, 9001}
    assert reached(manifests, "events") == {53, 9093, 6380}


def test_a_folder_lies_on_a_claim_that_is_there() -> None:
    """It is mounted where the servers are told to look, and no port is opened for it."""
    manifests = with_registry(root="/srv/models", existingClaim="models")
    workload = servers(manifests)
    assert claims(workload) == {"registry": "models"}
    assert mounted(workload)["registry"] == "/srv/models"
    assert mounted(workload)["models"] == CACHE
    assert reached(manifests, "recommendations") == {53, 9092, 6379}
