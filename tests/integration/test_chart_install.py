"""The chart on a real control plane: its API server, its admission, its controllers.

Where the control plane is that of ``../shared/tools/kube``, pods are only marked as running, so a
rollout shows that the cluster accepts and keeps what the chart asks for, not that the services
work. In a cluster of ``KUBECONFIG`` nothing is waited for, as the image need not be there.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.chart import (
    ARCHIVE,
    CHART,
    COMPONENTS,
    EVERYTHING,
    REQUIRED,
    Cluster,
    Manifest,
    control_plane,
)
from tests.waiting import eventually

VALUES = yaml.safe_dump({**REQUIRED, **ARCHIVE})
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with control_plane(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own, which takes no pod that is not *restricted*."""
    name = f"attune-test-{secrets.token_hex(3)}"
    metadata = {"name": name, "labels": RESTRICTED}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    cluster.do(cluster.kubectl, "create", "--filename", "-", stdin=yaml.safe_dump(manifest))
    yield name
    cluster.do(cluster.kubectl, "delete", "namespace", name, "--wait=false")


def upgrade(cluster: Cluster, namespace: str, *arguments: str, values: str = VALUES) -> None:
    """Bring the release "attune" to ``values``, and wait until it is rolled out."""
    wait = ["--wait", "--timeout", "60s"] if cluster.runs else []
    command = ["upgrade", "--install", "attune", str(CHART), "--namespace", namespace, *wait]
    cluster.do(cluster.helm, *command, "--values", "-", *arguments, stdin=values)


def workloads(cluster: Cluster, namespace: str) -> list[Manifest]:
    return cluster.get(namespace, "statefulsets,deployments")


def images(cluster: Cluster, namespace: str) -> set[str]:
    return {
        item["spec"]["template"]["spec"]["containers"][0]["image"]
        for item in workloads(cluster, namespace)
    }


def test_a_release_through_its_life(cluster: Cluster, namespace: str) -> None:
    """It is installed, upgraded, rolled back and removed, each time to the end."""
    upgrade(cluster, namespace)
    assert images(cluster, namespace) == {"attune:0.1.0"}
    upgrade(cluster, namespace, "--set", "image.tag=0.2.0")
    assert images(cluster, namespace) == {"attune:0.2.0"}
    wait = ["--wait", "--timeout", "60s"] if cluster.runs else []
    cluster.do(cluster.helm, "rollback", "attune", "1", "--namespace", namespace, *wait)
    assert images(cluster, namespace) == {"attune:0.1.0"}
    cluster.do(cluster.helm, "uninstall", "attune", "--namespace", namespace, *wait)
    kinds = "statefulsets,deployments,cronjobs,services,networkpolicies,poddisruptionbudgets,hpa"
    assert cluster.get(namespace, kinds + ",secrets") == []
    [claim] = cluster.get(namespace, "persistentvolumeclaims")
    assert claim["metadata"]["name"] == "archive-attune-archive-0", "the archive went as well"


def test_the_autoscaler_and_the_budgets_take_hold(cluster: Cluster, namespace: str) -> None:
    """Without any metrics there are two of each, workers by name, and one each may be evicted.

    Of the archive on a volume there is one.
    """
    upgrade(cluster, namespace)
    if not cluster.runs:
        pytest.skip("pods do not become ready in a cluster that may lack the image")

    def budgets() -> dict[str, int]:
        return {
            item["metadata"]["name"]: item.get("status", {}).get("disruptionsAllowed", 0)
            for item in cluster.get(namespace, "poddisruptionbudgets")
        }

    each = {f"attune-{component}": 1 for component in COMPONENTS}
    eventually(lambda: budgets() == each, within=60)
    names = {pod["metadata"]["name"] for pod in cluster.get(namespace, "pods")}
    assert {"attune-profiles-0", "attune-profiles-1", "attune-archive-0"} < names
    assert len(names) == 8


def test_the_cluster_accepts_every_value(cluster: Cluster, namespace: str) -> None:
    """With every value changed, the API server and its admission take all objects and pods."""
    upgrade(cluster, namespace, values=yaml.safe_dump(EVERYTHING))
    replicas = {
        item["metadata"]["name"]: item["spec"]["replicas"] for item in workloads(cluster, namespace)
    }
    assert (replicas["attune-profiles"], replicas["attune-archive"]) == (3, 2)


def test_a_misspelt_value_changes_nothing(cluster: Cluster, namespace: str) -> None:
    """An upgrade with a value that is not known is refused, and the release stays as it was."""
    upgrade(cluster, namespace)
    with pytest.raises(AssertionError, match="replicaz"):
        upgrade(cluster, namespace, "--set", "profiles.replicaz=5,image.tag=0.2.0")
    assert images(cluster, namespace) == {"attune:0.1.0"}


@pytest.mark.parametrize("values", [ARCHIVE, EVERYTHING], ids=["folder", "store"])
def test_compaction_s_pods_are_admitted(
    cluster: Cluster, namespace: str, values: dict[str, Any]
) -> None:
    """A job that is started by hand, as the schedule would, gets its pod in a strict namespace."""
    upgrade(cluster, namespace, values=yaml.safe_dump({**REQUIRED, **values}))
    job = ["create", "job", "now", "--from=cronjob/attune-compaction", "--namespace", namespace]
    cluster.do(cluster.kubectl, *job)

    def components() -> set[str]:
        pods = cluster.get(namespace, "pods")
        return {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}

    eventually(lambda: "compaction" in components(), within=60)
