"""How each contender is started: a process of its own, told as the worker is."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from deploy.local.services import ROOT, master_key
from deploy.local.supervised import Supervised, port_for
from services.profiles.settings import PREFIX

PEERS_PYTHON: Final = ROOT / ".venv-bench/bin/python"


class Contender(NamedTuple):
    """A name for the tables, and the command."""

    name: str
    command: Sequence[str]

    def process(self, settings: Mapping[str, str], log: Path) -> Supervised:
        """The process, not started; ``settings`` lack the prefix."""
        ports = {name: str(port_for(name, None)) for name in ("HEALTH_PORT", "METRICS_PORT")}
        env = {name: value for name, value in os.environ.items() if not name.startswith("ATTUNE_")}
        key = {"MASTER_KEY_FILE": str(master_key(log.parent))}
        env |= {PREFIX + name: value for name, value in {**ports, **key, **settings}.items()}
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "build/gen")])
        return Supervised(self.name, self.command, log, env)


def _of(module: str, *arguments: str, python: str = sys.executable) -> Sequence[str]:
    return (python, "-m", module, *arguments)


OURS: Final = Contender("ours", _of("services.profiles"))
PLAIN: Final = Contender("plain aiokafka", _of("tests.bench.stream.plain_aiokafka"))
FAUST: Final = Contender("stock Faust, take", _of("tests.bench.stream.stock_faust", "taken"))
FAUST_SINGLE: Final = Contender(
    "stock Faust, one by one", _of("tests.bench.stream.stock_faust", "one_by_one")
)
QUIX: Final = Contender(
    "quixstreams", _of("tests.bench.stream.quixstreams_sink", python=str(PEERS_PYTHON))
)
