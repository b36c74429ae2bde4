"""Settings: one frozen object for each service, read once from the environment.

A service declares a frozen ``msgspec.Struct`` whose fields say in their ``Meta`` what they
are; ``--help`` prints that. Each field ``kafka_servers`` is told by the
variable ``PREFIX_KAFKA_SERVERS``. An unknown name under the prefix, a missing one or a
value out of range stops the start with one sentence that names the variable.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from services.shared.errors import BadSetting

S = TypeVar("S", bound=msgspec.Struct)

Text = Annotated[str, Meta(min_length=1)]
GrpcHost = Annotated[Text, Meta(description="Where gRPC listens.")]
MetricsHost = Annotated[Text, Meta(description="Where Prometheus metrics listen.")]
Port = Annotated[int, Meta(ge=0, le=65_535, description="Its port; 0 takes a free one.")]
ApiKeysFile = Annotated[
    Text, Meta(description="Hashes of API keys; python -m services.shared.identity makes it.")
]
DrainMs = Annotated[
    int,
    Meta(
        ge=0,
        le=60_000,
        description="Milliseconds that the server keeps taking calls after SIGTERM, while "
        "health says NOT_SERVING and load balancers look elsewhere.",
    ),
]
MasterKeyFile = Annotated[
    Text,
    Meta(
        description="The master key, under which what names a person is sealed; "
        "python -m services.shared.sealing new --file … makes one."
    ),
]
GroupName = Annotated[
    str, Meta(min_length=1, description="Consumer group; processes of one share the work.")
]
InstanceId = Annotated[
    str,
    Meta(
        description="This process' own name in the group, the same after a restart "
        "(static membership: no rebalance). None if empty."
    ),
]
SessionTimeoutSeconds = Annotated[
    int,
    Meta(
        ge=1,
        le=300,
        description="A process that says nothing for so long loses its partitions to others.",
    ),
]
KafkaServers = Annotated[
    str,
    Meta(
        pattern=r"^[^\s,]+:[0-9]{1,5}(,[^\s,]+:[0-9]{1,5})*\Z",
        description="Kafka brokers, such as kafka-1:9092,kafka-2:9092.",
    ),
]
RedisUrl = Annotated[
    str,
    Meta(
        pattern=r"^(rediss?(\+cluster)?|unix)://",
        description="Redis, such as redis://host:6379/0; rediss:// for TLS. A Redis Cluster: "
        "redis+cluster://node-1:6379,node-2:6379 (rediss+cluster:// for TLS).",
    ),
]
TopicPrefix = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9._-]{0,100}\Z", description="Stands before the name of every topic."),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], Meta(description="The least level to log.")
]


def read_settings(kind: type[S], *, prefix: str, environ: Mapping[str, str]) -> S:
    """Read ``kind`` from the variables of ``environ`` that start with ``prefix``.

    Raises BadSetting, naming the variable and what it may be.
    """
    told = {
        name.removeprefix(prefix).lower(): value
        for name, value in environ.items()
        if name.startswith(prefix)
    }
    known = {field.name: field for field in msgspec.structs.fields(kind)}
    for name in told.keys() - known.keys():
        raise BadSetting(
            f"{prefix}{name.upper()} is not a setting; "
            f"known are {', '.join(sorted(prefix + n.upper() for n in known))}"
        )
    for name, field in known.items():
        if field.required and name not in told:
            raise BadSetting(
                f"{prefix}{name.upper()} is missing and has no default: {_described(kind, name)}"
            )
    try:
        return msgspec.convert(told, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadSetting(_sentence(error, prefix)) from error


def _described(kind: type[msgspec.Struct], name: str) -> str:
    """What a setting is, as its field says."""
    properties = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    return str(properties[name].get("description", ""))


def _sentence(error: msgspec.ValidationError, prefix: str) -> str:
    what, _, path = str(error).partition(" - at `$.")
    name = prefix + path.rstrip("`").upper() if path else prefix + "*"
    return f"{name}: {what[:1].lower()}{what[1:]}"


def settings_help(
    kind: type[S], *, prefix: str, prog: str, description: str, epilog: str
) -> argparse.ArgumentParser:
    """A command line that takes no arguments; its ``--help`` lists every setting of ``kind``."""
    lines = []
    for field in msgspec.structs.fields(kind):
        default = "Required." if field.required else f"Default: {field.default!r}."
        text = f"{_described(kind, field.name)} {default}"
        lines.append(f"  {prefix}{field.name.upper()}")
        lines.append(textwrap.fill(text, 78, initial_indent="      ", subsequent_indent="      "))
    return argparse.ArgumentParser(
        prog=prog,
        description=f"{description} It takes no arguments; everything is told by environment "
        "variables:\n\n" + "\n".join(lines),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
