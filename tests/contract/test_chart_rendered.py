"""The objects that the chart makes, held to Kubernetes and to each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it brings no types
import pytest

from services.shared.health import LIVE
from tests.chart import (
    ARCHIVE,
    COMPONENTS,
    EVERY_VALUE,
    EVERYTHING,
    KUBERNETES,
    Manifest,
    container,
    find,
    pod,
    pod_template,
    render,
    workloads,
)

SERVERS = ("recommendations", "events")
LABEL = "app.kubernetes.io/component"


@pytest.fixture(scope="module")
def rendered() -> list[Manifest]:
    """The chart with nothing but what it and an archive require."""
    return render(ARCHIVE)


@pytest.mark.parametrize("values", [{}, ARCHIVE, EVERY_VALUE, EVERYTHING], ids=str)
def test_kubernetes_knows_every_field(values: dict[str, Any]) -> None:
    """Every rendered object is valid for Kubernetes, and no field is misspelt."""
    for manifest in render(values):
        kubernetes_validate.validate(manifest, KUBERNETES.rpartition(".")[0], strict=True)


PROBES = {"startup": LIVE, "readiness": "", "liveness": LIVE}


def test_only_readiness_asks_whether_the_service_can_work(rendered: list[Manifest]) -> None:
    """An outage around a pod takes it out of service, and never starts it anew."""
    for workload in workloads(rendered):
        probes = {kind: container(workload)[f"{kind}Probe"]["grpc"] for kind in PROBES}
        assert {kind: probe.get("service", "") for kind, probe in probes.items()} == PROBES


def test_every_container_is_confined(rendered: list[Manifest]) -> None:
    """No root, no writable root folder, no capability, no token; memory has a limit."""
    for workload in (*workloads(rendered), find(rendered, "CronJob", "compaction")):
        whole, one = pod(workload), container(workload)
        assert whole["securityContext"]["runAsNonRoot"] is True
        assert whole["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert whole["automountServiceAccountToken"] is False
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert one["resources"]["requests"].keys() == {"cpu", "memory"}
        assert one["resources"]["limits"].keys() == {"memory"}


def test_the_chart_holds_no_secret(rendered: list[Manifest]) -> None:
    """Passwords and keys come from Secrets that exist; the chart makes none."""
    assert "Secret" not in {manifest["kind"] for manifest in rendered}


def test_image_and_workers_are_those_of_the_values() -> None:
    """Image, tag, its registry's Secret, resources and the number of workers come from values."""
    manifests = render(EVERYTHING)
    for workload, component in zip(workloads(manifests), COMPONENTS, strict=True):
        assert container(workload)["image"] == "registry.example/attune:9"
        assert pod(workload)["imagePullSecrets"] == [{"name": "pull"}]
        assert container(workload)["resources"] == EVERY_VALUE[component]["resources"]
    assert workloads(manifests)[0]["spec"]["replicas"] == 3


@pytest.mark.parametrize("component", SERVERS)
@pytest.mark.parametrize(("fewest", "most"), [(1, 1), (1, 3), (2, 2), (5, 20)])
def test_the_autoscaler_alone_counts_the_servers(fewest: int, most: int, component: str) -> None:
    """The Deployment says no number, and the budget asks for fewer than the autoscaler's least."""
    manifests = render({component: {"replicas": {"min": fewest, "max": most}}})
    deployment = find(manifests, "Deployment", component)
    assert "replicas" not in deployment["spec"]
    scaler = find(manifests, "HorizontalPodAutoscaler", component)["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (fewest, most)
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    budget = find(manifests, "PodDisruptionBudget", component)["spec"]
    assert budget["minAvailable"] == fewest - 1


def test_without_the_events_server_nothing_of_it_is_there() -> None:
    """One value takes it away, and leaves the others as they were."""
    without = render({"events": {"enabled": False}})
    others = [one for one in render() if one["metadata"]["labels"][LABEL] != "events"]
    assert without == others


def test_without_attribution_nothing_of_it_is_there() -> None:
    """One value takes it away, and leaves the others as they were."""
    without = render({"attribution": {"enabled": False}})
    others = [one for one in render() if one["metadata"]["labels"][LABEL] != "attribution"]
    assert without == others


@pytest.mark.parametrize("component", SERVERS)
def test_clients_see_every_ready_pod_of_a_server(component: str) -> None:
    """The Service has no address of its own, so its name is as many as there are pods."""
    service = find(render(), "Service", component)["spec"]
    assert service["clusterIP"] == "None"
    assert not service.get("publishNotReadyAddresses", False)
    assert "grpc" in {port["targetPort"] for port in service["ports"]}


def test_who_may_call_whom() -> None:
    """Storefronts and producers are told apart, each let in to the servers that they call."""
    manifests = render(EVERYTHING)
    for component, value in (("recommendations", "callers"), ("events", "producers")):
        rules = find(manifests, "NetworkPolicy", component)["spec"]["ingress"]
        (rule,) = [rule for rule in rules if rule["ports"][0]["port"] == "grpc"]
        assert rule["from"] == EVERY_VALUE["networkPolicy"][value]


@pytest.mark.parametrize("release", ["attune", "shop", "attune-" + "x" * 46, "r" * 53])
def test_names_and_labels_agree(release: str) -> None:
    """Names are unique and short enough, and every selector finds the pods of its own service."""
    manifests = render(ARCHIVE, release=release)
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(set(names)) == len(names)
    assert max(len(name) for _, name in names) <= 57, "a pod's suffix has no room in a label"
    for workload, component in zip(workloads(manifests), COMPONENTS, strict=True):
        labels = pod_template(workload)["metadata"]["labels"].items()
        for selector in selectors(manifests, component):
            assert selector.items() <= labels
        account = find(manifests, "ServiceAccount", component)["metadata"]["name"]
        assert pod(workload)["serviceAccountName"] == account
    for component in ("profiles", "archive", "attribution"):
        service = find(manifests, "Service", component)["metadata"]["name"]
        assert find(manifests, "StatefulSet", component)["spec"]["serviceName"] == service


def selectors(manifests: list[Manifest], component: str) -> Iterator[dict[str, str]]:
    for manifest in manifests:
        if manifest["metadata"]["labels"][LABEL] != component:
            continue
        match manifest:
            case {"kind": "Service", "spec": {"selector": selector}}:
                yield selector
            case {"spec": {"selector": {"matchLabels": selector}}}:
                yield selector
            case {"spec": {"podSelector": {"matchLabels": selector}}}:
                yield selector


def test_traffic_is_confined_unless_told_otherwise(rendered: list[Manifest]) -> None:
    """By default each service has a policy for both directions; one value takes both away."""
    for component in COMPONENTS:
        policy = find(rendered, "NetworkPolicy", component)["spec"]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        ports = {item["port"] for rule in policy["egress"] for item in rule["ports"]}
        assert ports == {53, 9092, 6379}
        assert all(rule["from"] for rule in policy["ingress"])
    without = render({**ARCHIVE, "networkPolicy": {"enabled": False}})
    kinds = {manifest["kind"] for manifest in without}
    assert "NetworkPolicy" not in kinds


def test_nobody_may_call_where_no_peer_is_named() -> None:
    """An empty list lets nobody in, where a policy rule without peers would let in everybody."""
    nobody: dict[str, list[Manifest]] = {"callers": [], "producers": [], "scrapers": []}
    manifests = render({**ARCHIVE, "networkPolicy": nobody})
    for component in COMPONENTS:
        assert not find(manifests, "NetworkPolicy", component)["spec"]["ingress"]


def test_nothing_may_be_reached_where_no_port_is_named() -> None:
    """An empty list leaves names only, where a policy rule without ports would let out all."""
    for component in COMPONENTS:
        manifests = render({**ARCHIVE, "networkPolicy": {"egressPorts": []}})
        rules = find(manifests, "NetworkPolicy", component)["spec"]["egress"]
        assert [{item["port"] for item in rule["ports"]} for rule in rules] == [{53}]
