"""What the chart tells the services, held to the settings that they read."""

from __future__ import annotations

from typing import Final

import pytest

from services.archive.settings import PREFIX as ARCHIVES
from services.archive.settings import Settings as ArchiveSettings
from services.attribution.settings import PREFIX as ATTRIBUTIONS
from services.attribution.settings import Settings as AttributionSettings
from services.events.settings import PREFIX as EVENTS
from services.events.settings import Settings as EventsSettings
from services.profiles.settings import PREFIX as PROFILES
from services.profiles.settings import Settings as ProfilesSettings
from services.recommendations.settings import PREFIX as RECOMMENDATIONS
from services.recommendations.settings import Settings as RecommendationsSettings
from services.shared.errors import BadSetting
from services.shared.settings import read_settings
from tests.chart import (
    ARCHIVE,
    COMPONENTS,
    EVERYTHING,
    FOLDER,
    Manifest,
    container,
    find,
    pod,
    render,
    workloads,
)

SECRETS = {
    ("attune-redis", "url"): "redis://:secret@redis:6379/0",
    ("other-redis", "url"): "rediss://other:6380/0",
}
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104  # a pod is reached by its own address


def environment(workload: Manifest) -> dict[str, str]:
    """The variables as the container sees them."""
    told = {}
    for item in container(workload)["env"]:
        match item:
            case {"value": str(value)}:
                told[item["name"]] = value
            case {"valueFrom": {"secretKeyRef": {"name": name, "key": key}}}:
                told[item["name"]] = SECRETS[name, key]
            case {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}:
                told[item["name"]] = f"{workload['metadata']['name']}-0"
            case _:
                pytest.fail(f"{item['name']} has no value")
    assert len(told) == len(container(workload)["env"]), "a variable stands there twice"
    return told


def profiles_settings(manifests: list[Manifest]) -> ProfilesSettings:
    told = environment(find(manifests, "StatefulSet", "profiles"))
    return read_settings(ProfilesSettings, prefix=PROFILES, environ=told)


def recommendations_settings(manifests: list[Manifest]) -> RecommendationsSettings:
    told = environment(find(manifests, "Deployment", "recommendations"))
    return read_settings(RecommendationsSettings, prefix=RECOMMENDATIONS, environ=told)


def events_settings(manifests: list[Manifest]) -> EventsSettings:
    told = environment(find(manifests, "Deployment", "events"))
    return read_settings(EventsSettings, prefix=EVENTS, environ=told)


def archive_settings(manifests: list[Manifest]) -> ArchiveSettings:
    told = environment(find(manifests, "StatefulSet", "archive"))
    return read_settings(ArchiveSettings, prefix=ARCHIVES, environ=told)


def attribution_settings(manifests: list[Manifest]) -> AttributionSettings:
    told = environment(find(manifests, "StatefulSet", "attribution"))
    return read_settings(AttributionSettings, prefix=ATTRIBUTIONS, environ=told)


@pytest.fixture(scope="module")
def rendered() -> list[Manifest]:
    """The chart with nothing but what it and an archive require."""
    return render(ARCHIVE)


def test_the_worker_is_told_what_the_values_say() -> None:
    """The environment of the worker's pods is read by its settings, and means the values."""
    settings = profiles_settings(render(EVERYTHING))
    assert settings == ProfilesSettings(
        kafka_servers="other:9093",
        redis_url="rediss://other:6380/0",
        master_key_file="/etc/attune/master-key",
        topic_prefix="eu.",
        group="eu.attune-profiles",
        instance_id="attune-profiles-0",
        health_host=EVERYWHERE,
        health_port=50052,
        metrics_host=EVERYWHERE,
        metrics_port=9102,
        event_age_limit_seconds=31_536_000,
        profile_retention_seconds=100_000_000,
        log_level="debug",
    )


def test_the_server_is_told_what_the_values_say() -> None:
    """The environment of the server's pods is read by its settings, and means the values."""
    settings = recommendations_settings(render(EVERYTHING))
    assert settings == RecommendationsSettings(
        kafka_servers="other:9093",
        redis_url="rediss://other:6380/0",
        topic_prefix="eu.",
        registry="s3://bucket/models",
        shops="demo,other",
        model_cache="/var/cache/attune",
        model_cache_mb=100,
        model_memory_mb=900,
        api_keys_file="/etc/attune/keys.json",
        master_key_file="/etc/attune-master-key/master-key",
        host=EVERYWHERE,
        port=50051,
        metrics_host=EVERYWHERE,
        metrics_port=9101,
        scenarios="/etc/attune-scenarios",
        drain_ms=5000,
        log_level="debug",
    )


def test_without_a_registry_the_image_s_model_answers(rendered: list[Manifest]) -> None:
    """For all shops, and nothing is said of a registry."""
    settings = recommendations_settings(rendered)
    assert settings.bundle == "/opt/attune/model"
    assert not settings.registry


def test_the_events_server_is_told_what_the_values_say() -> None:
    """Of Redis it hears nothing; of an event's age what the worker hears."""
    settings = events_settings(render(EVERYTHING))
    assert settings == EventsSettings(
        kafka_servers="other:9093",
        topic_prefix="eu.",
        api_keys_file="/etc/attune/keys.json",
        host=EVERYWHERE,
        port=50053,
        metrics_host=EVERYWHERE,
        metrics_port=9103,
        event_age_limit_seconds=31_536_000,
        drain_ms=5000,
        log_level="debug",
    )


def test_the_archive_is_told_what_the_values_say() -> None:
    """Of Redis it hears nothing; its name in its group is its pod's."""
    settings = archive_settings(render(EVERYTHING))
    assert settings == ArchiveSettings(
        kafka_servers="other:9093",
        root="s3://bucket/attune",
        master_key_file="/etc/attune/master-key",
        topic_prefix="eu.",
        group="eu.attune-archive",
        instance_id="attune-archive-0",
        health_host=EVERYWHERE,
        health_port=50054,
        metrics_host=EVERYWHERE,
        metrics_port=9104,
        log_level="debug",
    )


def test_attribution_is_told_what_the_values_say() -> None:
    """Its experiments lie where the ConfigMap is mounted; without one it hears of none."""
    manifests = render(EVERYTHING)
    assert attribution_settings(manifests) == AttributionSettings(
        kafka_servers="other:9093",
        redis_url="rediss://other:6380/0",
        master_key_file="/etc/attune/master-key",
        topic_prefix="eu.",
        group="eu.attune-attribution",
        instance_id="attune-attribution-0",
        experiments="/etc/attune-experiments",
        event_age_limit_seconds=31_536_000,
        health_host=EVERYWHERE,
        health_port=50055,
        metrics_host=EVERYWHERE,
        metrics_port=9105,
        log_level="debug",
    )
    workload = find(manifests, "StatefulSet", "attribution")
    (volume,) = [each for each in pod(workload)["volumes"] if "configMap" in each]
    assert volume["configMap"]["name"] == "other-experiments"
    (mount,) = [m for m in container(workload)["volumeMounts"] if m["name"] == volume["name"]]
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/attune-experiments", True)
    assert attribution_settings(render()).experiments == ""
    assert "configMap" not in str(find(render(), "StatefulSet", "attribution"))


def test_the_defaults_are_those_of_the_services(rendered: list[Manifest]) -> None:
    """Who sets nothing gets the age limit, retention, group and log level of the services."""
    plain = ProfilesSettings(kafka_servers="k:1", redis_url="redis://r", master_key_file="f")
    told = profiles_settings(rendered)
    for name in ("event_age_limit_seconds", "profile_retention_seconds", "group", "log_level"):
        assert getattr(told, name) == getattr(plain, name)
    assert events_settings(rendered).event_age_limit_seconds == plain.event_age_limit_seconds
    following = attribution_settings(rendered)
    assert following.event_age_limit_seconds == plain.event_age_limit_seconds
    defaults = AttributionSettings(kafka_servers="k:1", redis_url="redis://r", master_key_file="f")
    assert (following.group, following.log_level) == (defaults.group, defaults.log_level)
    archive = ArchiveSettings(kafka_servers="k:1", root=FOLDER, master_key_file="f")
    assert archive_settings(rendered).group == archive.group
    assert archive_settings(rendered).log_level == archive.log_level


def test_scenarios_are_a_folder_that_changes_while_a_pod_runs(rendered: list[Manifest]) -> None:
    """The ConfigMap is mounted as a whole, where the setting says; without one there is neither."""
    server = find(render(EVERYTHING), "Deployment", "recommendations")
    (volume,) = [each for each in pod(server)["volumes"] if each["name"] == "scenarios"]
    assert volume["configMap"] == {"name": "other-scenarios"}
    (mount,) = [each for each in container(server)["volumeMounts"] if each["name"] == "scenarios"]
    assert mount == {
        "name": "scenarios",
        "mountPath": recommendations_settings(render(EVERYTHING)).scenarios,
        "readOnly": True,
    }
    plain = find(rendered, "Deployment", "recommendations")
    assert recommendations_settings(rendered).scenarios == ""
    assert "scenarios" not in {each["name"] for each in pod(plain)["volumes"]}


def test_a_service_s_variables_do_not_stop_a_start(rendered: list[Manifest]) -> None:
    """Kubernetes adds variables for each Service, which settings refuse; it is told not to."""
    told = environment(find(rendered, "Deployment", "recommendations"))
    told |= {"ATTUNE_RECOMMENDATIONS_SERVICE_HOST": "10.0.0.1"}
    with pytest.raises(BadSetting):
        read_settings(RecommendationsSettings, prefix=RECOMMENDATIONS, environ=told)
    assert {pod(workload)["enableServiceLinks"] for workload in workloads(rendered)} == {False}


def test_ports_are_the_same_everywhere(rendered: list[Manifest]) -> None:
    """Settings, container, probes, Service, policy and Prometheus speak of the same ports."""
    worker, server = profiles_settings(rendered), recommendations_settings(rendered)
    door, archive = events_settings(rendered), archive_settings(rendered)
    following = attribution_settings(rendered)
    ports = [
        ("health", worker.health_port, worker.metrics_port),
        ("grpc", server.port, server.metrics_port),
        ("grpc", door.port, door.metrics_port),
        ("health", archive.health_port, archive.metrics_port),
        ("health", following.health_port, following.metrics_port),
    ]
    for workload, component, told in zip(workloads(rendered), COMPONENTS, ports, strict=True):
        name, port, metrics_port = told
        named = {item["name"]: item["containerPort"] for item in container(workload)["ports"]}
        assert named == {name: port, "metrics": metrics_port}
        probes = [container(workload)[f"{kind}Probe"] for kind in ("startup", "readiness")]
        assert {probe["grpc"]["port"] for probe in probes} == {port}
        service = find(rendered, "Service", component)
        assert {item["targetPort"]: item["port"] for item in service["spec"]["ports"]} == named
        annotations = workload["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == str(metrics_port)
        policy = find(rendered, "NetworkPolicy", component)["spec"]["ingress"]
        assert {item["port"] for rule in policy for item in rule["ports"]} <= named.keys()


def test_settings_point_at_what_is_mounted(rendered: list[Manifest]) -> None:
    """What a Secret holds lies where it is mounted, and only the pod's group may read it."""
    serving = recommendations_settings(rendered)
    files = [
        {profiles_settings(rendered).master_key_file},
        {serving.api_keys_file, serving.master_key_file},
        {events_settings(rendered).api_keys_file},
        {archive_settings(rendered).master_key_file},
        {attribution_settings(rendered).master_key_file},
    ]
    for workload, expected in zip(workloads(rendered), files, strict=True):
        found = set()
        for volume in (item for item in pod(workload)["volumes"] if "secret" in item):
            [mount] = [
                item
                for item in container(workload)["volumeMounts"]
                if item["name"] == volume["name"]
            ]
            [item] = volume["secret"]["items"]
            found.add(f"{mount['mountPath']}/{item['path']}")
            assert mount["readOnly"] is True
            assert volume["secret"]["defaultMode"] == 0o440
        assert found == expected
