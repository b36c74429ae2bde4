"""What the chart refuses, and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chart import ARCHIVE, REQUIRED, template
from tests.unit.test_chart_values import described, schema


def misspelt(name: str) -> dict[str, Any]:
    """Values in which the last word of ``name`` has a letter too many."""
    nested: Any = 1
    for word in reversed((name + "x").split(".")):
        nested = {word: nested}
    values: dict[str, Any] = json.loads(json.dumps(REQUIRED))
    for group, inner in nested.items():
        values[group] = {**values.get(group, {}), **inner} if isinstance(inner, dict) else inner
    return values


@pytest.mark.parametrize("name", [name for name, _ in described(schema())])
def test_a_misspelt_value_is_refused(name: str) -> None:
    """A value that the chart does not know stops the installation, and is named."""
    done = template(misspelt(name))
    assert done.returncode != 0
    assert f"'{name.rpartition('.')[2]}x' not allowed" in done.stderr


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kafka": {"servers": "kafka"}}, "/kafka/servers"),
        ({"kafka": {"servers": "", "topicPrefix": "eu/"}}, "/kafka/topicPrefix"),
        ({"logLevel": "loud"}, "/logLevel"),
        ({"profiles": {"replicas": 0}}, "/profiles/replicas"),
        ({"profiles": {"eventAgeLimitSeconds": 7.5}}, "/profiles/eventAgeLimitSeconds"),
        ({"profiles": {"resources": {"requests": {"cpu": "abc"}}}}, "/profiles/resources/requests"),
        ({"recommendations": {"resources": {"requests": {"gpu": 1}}}}, "'gpu' not allowed"),
        (
            {"recommendations": {"scenarios": {"configMap": "a/b"}}},
            "/recommendations/scenarios/configMap",
        ),
        ({"networkPolicy": {"egressPorts": [99999]}}, "/networkPolicy/egressPorts/0"),
        ({"networkPolicy": {"callers": [{}]}}, "/networkPolicy/callers/0"),
        ({"redis": {"secret": "redis://:password@redis"}}, "/redis/secret"),
        ({"kafka": {"servers": ""}}, "kafka.servers is missing"),
        ({"redis": {"secret": ""}}, "redis.secret is missing"),
        ({"apiKeys": {"secret": ""}}, "apiKeys.secret is missing"),
        ({"masterKey": {"secret": ""}}, "masterKey.secret is missing"),
        (
            {"recommendations": {"replicas": {"min": 4, "max": 3}}},
            "recommendations.replicas.max is 3, below replicas.min (4)",
        ),
        (
            {"recommendations": {"registry": {"shops": ["Demo"]}}},
            "/recommendations/registry/shops/0",
        ),
        (
            {"recommendations": {"registry": {"root": "s3://bucket/models"}}},
            "recommendations.registry.shops is empty: name the shops",
        ),
        (
            {"recommendations": {"registry": {"root": "/srv/models", "shops": ["demo"]}}},
            "recommendations.registry.root is the folder /srv/models, but there is no volume",
        ),
        (
            {"recommendations": {"registry": {"shops": ["demo"]}}},
            "recommendations.registry.root is empty: the model of the image answers",
        ),
        ({"events": {"replicas": {"min": 2, "max": 1}}}, "events.replicas.max is 1, below"),
        ({"events": {"enabled": "no"}}, "/events/enabled"),
        ({"archive": {"enabled": True}}, "archive.root is missing"),
        (
            {"archive": {"enabled": True, "root": "/srv/archive"}},
            "archive.root is the folder /srv/archive, but there is no volume for it",
        ),
        (
            {"archive": {**ARCHIVE["archive"], "replicas": 2}},
            "archive.replicas is 2, but archive.persistence.size makes a volume for one pod",
        ),
        ({**ARCHIVE, "masterKey": {"secret": ""}}, "masterKey.secret is missing"),
        ({"archive": {"root": "archive"}}, "/archive/root"),
        ({"archive": {"persistence": {"size": "much"}}}, "/archive/persistence/size"),
        ({"archive": {"compaction": {"schedule": "2 * *"}}}, "/archive/compaction/schedule"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(values: dict[str, Any], said: str) -> None:
    """A value that cannot work stops the installation with a sentence that names it."""
    done = template({**REQUIRED, **values})
    assert done.returncode != 0
    assert said in done.stderr
