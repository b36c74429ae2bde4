"""Retraining in the chart: a round and a look for each shop, and what they may reach."""

from __future__ import annotations

from typing import Any

import pytest

from services.recommendations.model_arguments import parser
from tests.chart import (
    ARCHIVE,
    EVERY_VALUE,
    EVERYTHING,
    Manifest,
    container,
    pod,
    pod_template,
    render,
    template,
)
from tests.chart import REQUIRED as CHART_REQUIRED
from tests.contract.test_chart_archive import claims, mounted, reached
from tests.contract.test_chart_settings import environment

LABEL = "app.kubernetes.io/component"
LEAST: dict[str, Any] = {
    **ARCHIVE,
    "recommendations": {
        "registry": {"root": "/srv/models", "existingClaim": "models", "shops": ["demo", "other"]}
    },
    "retraining": {"enabled": True, "image": {"repository": "registry.example/training"}},
}
"""With both stores on volumes."""


def of_shops(manifests: list[Manifest], component: str) -> dict[str, Manifest]:
    """A component's CronJobs, by their shop."""
    return {
        one["metadata"]["annotations"]["attune/shop"]: one
        for one in manifests
        if one["kind"] == "CronJob" and one["metadata"]["labels"][LABEL] == component
    }


def told(job: Manifest) -> Any:
    """What the command line means to the real parser."""
    one = container(job)
    words = [*one["command"], *one.get("args", [])]
    assert words[:4] == ["python", "-m", "services.recommendations", "models"]
    return parser(environment(job)).parse_args(words[4:])


def test_there_is_none_unless_it_is_asked_for() -> None:
    """Neither rounds nor looks, nor an account for them."""
    components = {one["metadata"]["labels"][LABEL] for one in render(ARCHIVE)}
    assert not {"retraining", "advancing"} & components


@pytest.mark.parametrize("values", [EVERYTHING, LEAST], ids=["stores", "volumes"])
def test_each_shop_has_a_round_and_a_look(values: dict[str, Any]) -> None:
    """The command lines are ones that the real parser takes, with the values in them."""
    manifests = render(values)
    root = values["recommendations"]["registry"]["root"]
    for component, command in (("retraining", "retrain"), ("advancing", "advance")):
        jobs = of_shops(manifests, component)
        assert jobs.keys() == {"demo", "other"}
        for shop, job in jobs.items():
            found = told(job)
            assert (found.command, found.shop, found.registry) == (command, shop, root)
            assert job["spec"]["concurrencyPolicy"] == "Forbid"
            assert job["spec"]["timeZone"] == "Etc/UTC"
    round_ = told(of_shops(manifests, "retraining")["demo"])
    assert (round_.archive, round_.master_key_file) == (
        values["archive"]["root"],
        "/etc/attune/master-key",
    )


def test_values_say_when_and_how() -> None:
    """Schedules, further options, image, deadline and resources are those of the values."""
    manifests, values = render(EVERYTHING), EVERY_VALUE["retraining"]
    round_, look = (of_shops(manifests, each)["demo"] for each in ("retraining", "advancing"))
    assert (round_["spec"]["schedule"], look["spec"]["schedule"]) == ("@daily", "@hourly")
    assert (told(round_).train, told(round_).sample) == ("--epochs 12", 0.2)
    assert told(look).share == 0.1
    assert container(round_)["image"] == "registry.example/attune-training:9-t"
    assert container(look)["image"] == "registry.example/attune:9"
    assert round_["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 3600
    assert container(round_)["resources"] == values["resources"]
    assert container(look)["resources"] == values["advance"]["resources"]


def test_a_refusal_is_not_tried_again() -> None:
    """Status 2 of the container that is there ends the job; anything else is tried again."""
    job = of_shops(render(LEAST), "retraining")["demo"]
    spec = job["spec"]["jobTemplate"]["spec"]
    [rule] = spec["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["values"] == [2]
    assert rule["onExitCodes"]["containerName"] == container(job)["name"]
    assert (pod(job)["restartPolicy"], spec["backoffLimit"]) == ("Never", 3)


def test_where_a_round_works() -> None:
    """On a claim that outlives its pod, or on its node's disk within a size."""
    kept = of_shops(render(EVERYTHING), "retraining")["demo"]
    assert claims(kept) == {"work": "other-work"}
    [volume] = [
        each
        for each in pod(of_shops(render(LEAST), "retraining")["demo"])["volumes"]
        if each["name"] == "work"
    ]
    assert volume["emptyDir"] == {"sizeLimit": "20Gi"}
    assert mounted(kept)["work"] == told(kept).work.as_posix()


def test_stores_on_volumes_are_mounted_where_they_are_looked_for() -> None:
    """The archive's on its node, as it may be one node's; a look needs the registry alone."""
    manifests = render(LEAST)
    round_, look = (of_shops(manifests, each)["demo"] for each in ("retraining", "advancing"))
    assert claims(round_) == {"archive": "archive-attune-archive-0", "registry": "models"}
    assert mounted(round_)["archive"] == told(round_).archive
    assert mounted(round_)["registry"] == told(round_).registry
    assert "podAffinity" in pod(round_)["affinity"]
    assert claims(look) == {"registry": "models"}
    assert "affinity" not in pod(look)


def test_what_they_may_reach() -> None:
    """A round both stores and no Redis; a look the registry, and Redis where clicks are counted."""
    manifests = render(EVERYTHING)
    assert reached(manifests, "retraining") == {53, 9000, 9093, 9001}
    assert reached(manifests, "advancing") == {53, 9093, 6380, 9001}
    assert reached(render(LEAST), "retraining") == {53}
    without = render({**EVERYTHING, "attribution": {"enabled": False}})
    assert reached(without, "advancing") == {53, 9001}
    assert told(of_shops(without, "advancing")["demo"]).without_clicks
    assert not told(of_shops(manifests, "advancing")["demo"]).without_clicks


def test_credentials_of_both_stores() -> None:
    """A round gets both Secrets, a look the registry's."""
    manifests = render(EVERYTHING)
    round_, look = (of_shops(manifests, each)["demo"] for each in ("retraining", "advancing"))
    names = [each["secretRef"]["name"] for each in container(round_)["envFrom"]]
    assert names == ["other-archive", "other-registry"]
    assert container(look)["envFrom"] == [{"secretRef": {"name": "other-registry"}}]
    redis = environment(look)["ATTUNE_ATTRIBUTION_REDIS_URL"]
    assert redis == "rediss://other:6380/0"
    assert "ATTUNE_ATTRIBUTION_REDIS_URL" not in environment(round_)


def test_they_are_confined_and_named() -> None:
    """As all pods are; names have room for the suffix of a job, labels are their policies'."""
    shops = ["a" * 63, "b"]
    registry = {**LEAST["recommendations"]["registry"], "shops": shops}
    values = {**LEAST, "recommendations": {"registry": registry}}
    manifests = render(values, release="r" * 53)
    jobs = [
        *of_shops(manifests, "retraining").values(),
        *of_shops(manifests, "advancing").values(),
    ]
    names = [job["metadata"]["name"] for job in jobs]
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 52
    for job in jobs:
        assert container(job)["securityContext"]["readOnlyRootFilesystem"] is True
        assert container(job)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert pod(job)["securityContext"]["runAsNonRoot"] is True
        labels = pod_template(job)["metadata"]["labels"]
        [policy] = [
            one
            for one in manifests
            if one["kind"] == "NetworkPolicy" and one["metadata"]["labels"][LABEL] == labels[LABEL]
        ]
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        assert policy["spec"]["ingress"] == []


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ("archive", "retraining.enabled needs an archive to learn from"),
        ("recommendations", "retraining.enabled needs a registry to publish to"),
        ("image", "retraining.image.repository is missing"),
    ],
)
def test_what_it_cannot_do_without(taken: str, said: str) -> None:
    """Stops the installation with a sentence."""
    values = {name: value for name, value in LEAST.items() if name != taken}
    if taken == "image":
        values["retraining"] = {"enabled": True}
    done = template({**CHART_REQUIRED, **values})
    assert done.returncode != 0
    assert said in done.stderr
