"""Helm, and a Kubernetes control plane, for tests of the chart.

Both come from the tools beside the checkout (``../shared/tools/kube``), else from ``PATH`` and
``KUBECONFIG``; where neither is at hand, a test that asks for them is skipped.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy/helm/attune"
TOOLS = ROOT.parent / "shared/tools"
KUBERNETES = "1.34.4"

REQUIRED = {
    "kafka": {"servers": "kafka-0.kafka:9092,kafka-1.kafka:9092"},
    "redis": {"secret": "attune-redis"},
    "apiKeys": {"secret": "attune-keys"},
    "masterKey": {"secret": "attune-master-key"},
}
"""What the chart cannot do without."""

EVERY_VALUE: dict[str, Any] = {
    "image": {"repository": "registry.example/attune", "tag": "9", "pullSecrets": ["pull"]},
    "kafka": {"servers": "other:9093", "topicPrefix": "eu."},
    "redis": {"secret": "other-redis"},
    "apiKeys": {"secret": "other-keys"},
    "masterKey": {"secret": "other-master-key"},
    "logLevel": "debug",
    "profiles": {
        "replicas": 3,
        "eventAgeLimitSeconds": 31_536_000,
        "profileRetentionSeconds": 100_000_000,
        "resources": {"requests": {"cpu": 2, "memory": "1Gi"}, "limits": {"memory": "3Gi"}},
    },
    "recommendations": {
        "replicas": {"min": 4, "max": 9, "targetCpuPercent": 70},
        "scenarios": {"configMap": "other-scenarios"},
        "registry": {
            "root": "s3://bucket/models",
            "shops": ["demo", "other"],
            "secret": "other-registry",
            "existingClaim": "other-models",
            "egressPorts": [9001],
            "cacheMegabytes": 100,
            "memoryMegabytes": 900,
        },
        "resources": {"requests": {"cpu": "1500m", "memory": "2Gi"}, "limits": {"memory": "4Gi"}},
    },
    "events": {
        "enabled": False,
        "replicas": {"min": 3, "max": 8, "targetCpuPercent": 80},
        "resources": {"requests": {"cpu": "700m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    },
    "archive": {
        "enabled": True,
        "root": "s3://bucket/attune",
        "secret": "other-archive",
        "replicas": 2,
        "persistence": {"existingClaim": "other-claim", "size": "1Ti", "storageClass": "slow"},
        "egressPorts": [9000, 9093],
        "compaction": {
            "schedule": "@weekly",
            "resources": {"requests": {"cpu": 1, "memory": "2Gi"}, "limits": {"memory": "3Gi"}},
        },
        "resources": {"requests": {"cpu": 3, "memory": "2Gi"}, "limits": {"memory": "5Gi"}},
    },
    "attribution": {
        "enabled": False,
        "replicas": 2,
        "experiments": "other-experiments",
        "resources": {"requests": {"cpu": 2, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    },
    "retraining": {
        "enabled": True,
        "image": {"repository": "registry.example/attune-training", "tag": "9-t"},
        "schedule": "@daily",
        "options": ["--train=--epochs 12", "--sample", "0.2"],
        "existingClaim": "other-work",
        "diskSize": "5Gi",
        "deadlineSeconds": 3600,
        "resources": {"requests": {"cpu": 4, "memory": "9Gi"}, "limits": {"memory": "10Gi"}},
        "advance": {
            "schedule": "@hourly",
            "options": ["--share=0.1"],
            "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        },
    },
    "networkPolicy": {
        "enabled": False,
        "callers": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "producers": [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
        "scrapers": [],
        "egressPorts": [9093, 6380],
    },
}
"""A value other than the default for each there is."""

EVERYTHING: dict[str, Any] = {
    **EVERY_VALUE,
    "events": {**EVERY_VALUE["events"], "enabled": True},
    "attribution": {**EVERY_VALUE["attribution"], "enabled": True},
    "networkPolicy": {**EVERY_VALUE["networkPolicy"], "enabled": True},
}
"""The same with all there is to install."""

FOLDER = "/srv/archive"
ARCHIVE: dict[str, Any] = {
    "archive": {"enabled": True, "root": FOLDER, "persistence": {"size": "100Gi"}}
}
"""The least that an archive needs, with a volume of its own."""

COMPONENTS = ("profiles", "recommendations", "events", "archive", "attribution")

Manifest = dict[str, Any]


@functools.cache
def helm() -> Path:
    """Where helm is; skips the test that asks where it is nowhere."""
    packed = TOOLS / "kube/helm.xz"
    if not packed.exists():
        if found := shutil.which("helm"):
            return Path(found)
        pytest.skip("helm is missing: neither ../shared/tools/kube nor PATH has it")
    unpacked = ROOT / "build/tools/helm"
    if not unpacked.exists():
        unpacked.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=unpacked.parent, delete=False) as file:
            subprocess.run(["xz", "-dc", packed], stdout=file, check=True, timeout=60)
        Path(file.name).chmod(0o755)
        Path(file.name).rename(unpacked)
    return unpacked


def template(
    values: Mapping[str, Any], *, release: str = "attune"
) -> subprocess.CompletedProcess[str]:
    """``helm template`` with ``values``; a status other than 0 is left to the caller."""
    command = [str(helm()), "template", release, str(CHART), "--kube-version", KUBERNETES]
    return subprocess.run(
        [*command, "--values", "-"],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def render(values: Mapping[str, Any] | None = None, *, release: str = "attune") -> list[Manifest]:
    """The chart's objects with :data:`REQUIRED` and ``values``, which win."""
    done = template({**REQUIRED, **(values or {})}, release=release)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def find(manifests: list[Manifest], kind: str, component: str) -> Manifest:
    """The one object of ``kind`` that belongs to ``component``."""
    label = "app.kubernetes.io/component"
    [found] = [
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and manifest["metadata"]["labels"][label] == component
    ]
    return found


def workloads(manifests: list[Manifest]) -> list[Manifest]:
    """That of each service, in the order of :data:`COMPONENTS`; there must be an archive."""
    return [
        find(manifests, "StatefulSet", "profiles"),
        find(manifests, "Deployment", "recommendations"),
        find(manifests, "Deployment", "events"),
        find(manifests, "StatefulSet", "archive"),
        find(manifests, "StatefulSet", "attribution"),
    ]


def pod_template(workload: Manifest) -> dict[str, Any]:
    """Labels and all else of a workload's pods; a CronJob's are two levels down."""
    spec = workload["spec"]
    return dict(
        spec["jobTemplate"]["spec"]["template"] if "jobTemplate" in spec else spec["template"]
    )


def pod(workload: Manifest) -> dict[str, Any]:
    return dict(pod_template(workload)["spec"])


def container(workload: Manifest) -> dict[str, Any]:
    [only] = pod(workload)["containers"]
    return dict(only)


@dataclass(frozen=True)
class Cluster:
    """A control plane. ``runs`` says whether a rollout can be waited for."""

    helm: Path
    kubectl: Path
    kubeconfig: Path
    runs: bool
    folder: Path

    def do(self, tool: Path, *arguments: str, stdin: str = "", within: float = 90) -> str:
        """What ``tool`` prints. Raises AssertionError with what it complains of."""
        done = subprocess.run(
            [tool, *arguments],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        assert done.returncode == 0, f"{tool.name} {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, namespace: str, what: str) -> list[Manifest]:
        """The objects of ``what``, such as ``pods`` or ``deployments,statefulsets``."""
        answer = self.do(self.kubectl, "get", what, "--namespace", namespace, "--output", "json")
        return list(json.loads(answer)["items"])


@contextmanager
def control_plane(folder: Path, *, images: Path | None = None) -> Iterator[Cluster]:
    """A control plane for one test module; pods really run where a store of ``images`` is given."""
    start = TOOLS / "kube/cluster"
    if not start.exists():
        yield _found_cluster(folder)
        return
    run = ["--run", str(images)] if images else []
    try:
        subprocess.run(
            [start, "up", folder, *run], check=True, capture_output=True, text=True, timeout=90
        )
        yield Cluster(folder / "helm", folder / "kubectl", folder / "kubeconfig", True, folder)
    finally:
        subprocess.run([start, "down", folder], check=False, capture_output=True, timeout=60)


def _found_cluster(folder: Path) -> Cluster:
    kubectl, kubeconfig = shutil.which("kubectl"), os.environ.get("KUBECONFIG")
    if not (shutil.which("helm") and kubectl and kubeconfig):
        pytest.skip(
            "a Kubernetes control plane is missing: neither ../shared/tools/kube is there, "
            "nor helm and kubectl on PATH with KUBECONFIG set"
        )
    return Cluster(helm(), Path(kubectl), Path(kubeconfig), False, folder)
