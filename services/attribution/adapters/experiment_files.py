"""A folder with each shop's experiments, in the shop's scenarios or by themselves.

Of ``SHOP.yaml`` this is read ::

    layers:
      - {name: lists, salt: lists-2026}
    experiments:
      - {name: calm-home, layer: lists, …}

and what else stands there is not ours. A file that cannot be read leaves in force what was
last known of it: an experiment must not lose shoppers to a slip of the pen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from services.attribution.domain.units import Known
from services.shared.errors import BadSetting
from services.shared.experiments import Experiment, Experiments, Layer
from services.shared.yaml_document import BadDocument, Document

_log = structlog.get_logger()


def experiment_files(folder: str) -> ExperimentFiles:
    """The files of a folder, none if it is "". Raises BadSetting where there is no such folder."""
    if folder and not Path(folder).is_dir():
        raise BadSetting(f"the folder of experiments, {folder}, is not there")
    return ExperimentFiles(Path(folder) if folder else None)


class ShopFile(msgspec.Struct, frozen=True):
    """Of a shop's file, what is read."""

    layers: tuple[Layer, ...] = ()
    experiments: tuple[Experiment, ...] = ()


class ExperimentFiles:
    """The experiments of all shops; :meth:`refresh` reads what has changed."""

    def __init__(self, folder: Path | None) -> None:
        """None: no shop has any."""
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._known: dict[str, Known] = {}

    @property
    def shops(self) -> Mapping[str, Known]:
        """By shop."""
        return self._known

    def of(self, shop_id: str) -> Known:
        """One shop's."""
        return self._known.get(shop_id, {})

    def refresh(self) -> None:
        """Read files that are new or have changed; one that is gone takes its experiments along."""
        if self._folder is None:
            return
        found = {}
        for path in sorted(self._folder.glob("*.yaml")):
            changed_at = path.stat().st_mtime_ns
            found[path] = changed_at
            if self._read.get(path) != changed_at:
                self._take(path)
        for path in self._read.keys() - found.keys():
            self._known.pop(path.stem, None)
        self._read = found

    def _take(self, path: Path) -> None:
        try:
            told = Document(path.read_text("utf-8")).read(ShopFile)
            kept = Experiments(layers=told.layers, experiments=told.experiments)
        except (OSError, UnicodeDecodeError, BadDocument, ValueError) as error:
            _log.error("experiments_not_read", file=path.name, reason=str(error))
            return
        self._known[path.stem] = {each.name: each for each in kept.experiments}
        _log.info("experiments_read", file=path.name, experiments=len(kept.experiments))
