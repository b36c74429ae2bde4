"""The archive in the chart: where it lies, what it may reach, and how it is compacted."""

from __future__ import annotations

from typing import Any

import pytest

from services.archive.compacting import COMMAND, parser
from services.archive.compacting import Settings as CompactionSettings
from services.archive.settings import PREFIX
from services.shared.settings import read_settings
from tests.chart import (
    ARCHIVE,
    EVERY_VALUE,
    EVERYTHING,
    FOLDER,
    Manifest,
    container,
    find,
    pod,
    pod_template,
    render,
)

LABEL = "app.kubernetes.io/component"


def archive(**values: Any) -> list[Manifest]:
    """The chart with an archive of ``values``, which win over the least that it needs."""
    return render({"archive": {**ARCHIVE["archive"], **values}})


def compaction(manifests: list[Manifest]) -> Manifest:
    return find(manifests, "CronJob", "compaction")


def mounted(workload: Manifest) -> dict[str, str]:
    """Where each volume is mounted, by its name."""
    return {item["name"]: item["mountPath"] for item in container(workload)["volumeMounts"]}


def claims(workload: Manifest) -> dict[str, str]:
    """The claims of a pod's volumes, by the volume's name."""
    return {
        item["name"]: item["persistentVolumeClaim"]["claimName"]
        for item in pod(workload)["volumes"]
        if "persistentVolumeClaim" in item
    }


def reached(manifests: list[Manifest], component: str) -> set[int]:
    """The ports that a component's policy lets its pods reach."""
    rules = find(manifests, "NetworkPolicy", component)["spec"]["egress"]
    assert all(rule["ports"] for rule in rules), "a rule without ports lets out all"
    return {item["port"] for rule in rules for item in rule["ports"]}


def test_there_is_none_unless_it_is_asked_for() -> None:
    """It needs a place, so the chart installs neither it nor its compaction by itself."""
    without = render()
    assert not {"archive", "compaction"} & {one["metadata"]["labels"][LABEL] for one in without}
    own = ("archive", "compaction")
    others = [one for one in render(ARCHIVE) if one["metadata"]["labels"][LABEL] not in own]
    assert without == others


def test_a_folder_lies_on_a_volume_that_stays() -> None:
    """The volume is mounted where the archive is told to write, and outlives the release."""
    manifests = archive(persistence={"size": "5Gi", "storageClass": "slow"})
    workload = find(manifests, "StatefulSet", "archive")
    [claim] = workload["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert claim["spec"]["storageClassName"] == "slow"
    assert mounted(workload)[claim["metadata"]["name"]] == FOLDER
    assert set(workload["spec"]["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}


@pytest.mark.parametrize("release", ["attune", "shop", "r" * 53])
def test_compaction_works_on_the_archive_s_own_volume(release: str) -> None:
    """It mounts the claim that the StatefulSet makes, on the node of the archive's pods."""
    manifests = render(ARCHIVE, release=release)
    workload, job = find(manifests, "StatefulSet", "archive"), compaction(manifests)
    [claim] = workload["spec"]["volumeClaimTemplates"]
    name = f"{claim['metadata']['name']}-{workload['metadata']['name']}-0"
    assert claims(job) == {"archive": name}
    assert mounted(job) == mounted(workload)
    affinity = pod(job)["affinity"]["podAffinity"]
    [term] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    labels = pod_template(workload)["metadata"]["labels"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"].items() <= labels.items()


def test_a_claim_that_exists_is_used_by_all() -> None:
    """Nothing is claimed beside it, and it may have several pods."""
    manifests = archive(persistence={"existingClaim": "mine", "size": "5Gi"}, replicas=2)
    workload = find(manifests, "StatefulSet", "archive")
    assert workload["spec"]["replicas"] == 2
    assert "volumeClaimTemplates" not in workload["spec"]
    assert claims(workload) == claims(compaction(manifests)) == {"archive": "mine"}


def test_an_object_store_needs_no_volume_but_credentials() -> None:
    """Both get the Secret's variables; nothing is claimed, mounted or tied to a node."""
    manifests = render(EVERYTHING)
    workload, job = find(manifests, "StatefulSet", "archive"), compaction(manifests)
    assert "volumeClaimTemplates" not in workload["spec"]
    assert "affinity" not in pod(job)
    for one in (workload, job):
        assert claims(one) == {}
        assert mounted(one).keys() == {"master-key", "tmp"}
        assert container(one)["envFrom"] == [{"secretRef": {"name": "other-archive"}}]
    assert "envFrom" not in container(find(archive(), "StatefulSet", "archive"))


def test_what_it_may_reach() -> None:
    """A store's ports where it lies in one; of compaction nothing but those."""
    manifests = render(EVERYTHING)
    assert reached(manifests, "archive") == {53, 9093, 6380, 9000}
    assert reached(manifests, "compaction") == {53, 9000, 9093}
    assert reached(archive(), "archive") == {53, 9092, 6379}
    assert reached(archive(), "compaction") == {53}
    assert find(manifests, "NetworkPolicy", "compaction")["spec"]["ingress"] == []


def test_compaction_s_pods_are_not_taken_for_the_archive_s() -> None:
    """Service and budget of the archive pass them by; their own policy holds them."""
    manifests = archive()
    labels = pod_template(compaction(manifests))["metadata"]["labels"].items()
    service = find(manifests, "Service", "archive")["spec"]["selector"]
    budget = find(manifests, "PodDisruptionBudget", "archive")["spec"]["selector"]["matchLabels"]
    policy = find(manifests, "NetworkPolicy", "compaction")["spec"]["podSelector"]["matchLabels"]
    assert not service.items() <= labels
    assert not budget.items() <= labels
    assert policy.items() <= labels


@pytest.mark.parametrize(
    ("values", "root"),
    [(EVERYTHING, "s3://bucket/attune"), (ARCHIVE, FOLDER)],
    ids=["store", "folder"],
)
def test_compaction_is_told_where_the_archive_lies(values: dict[str, Any], root: str) -> None:
    """The command line is one that the archive knows, and its settings read the environment."""
    job = container(compaction(render(values)))
    assert job["command"] == ["python", "-m", "services.archive", COMMAND]
    parser().parse_args(job["command"][4:])
    told = {item["name"]: item["value"] for item in job["env"]}
    settings = read_settings(CompactionSettings, prefix=PREFIX, environ=told)
    assert settings == CompactionSettings(root=root, master_key_file="/etc/attune/master-key")


def test_compaction_keeps_to_its_schedule() -> None:
    """Once a day by default, as told otherwise, in UTC; never two at once; never if empty."""
    spec = compaction(archive())["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("17 2 * * *", "Etc/UTC")
    assert spec["concurrencyPolicy"] == "Forbid"
    told = compaction(render(EVERYTHING))
    assert told["spec"]["schedule"] == "@weekly"
    assert container(told)["resources"] == EVERY_VALUE["archive"]["compaction"]["resources"]
    without = archive(compaction={"schedule": ""})
    assert "compaction" not in {one["metadata"]["labels"][LABEL] for one in without}
