"""Whatever is done to a file of a bundle: it is refused by name, or it still computes."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from services.shared.bundle import FILES, load_bundle
from services.shared.content_tower import ContentTower
from services.shared.encoder import Encoder, check_golden
from services.shared.errors import BundleRefused
from services.shared.model_input import PURCHASE, Known
from services.shared.scores import Scorer
from tests.tiny_bundle import add_neighbours, make_bundle, seal, write_json

VECTORS = {"mug": (1.0, 0.0), "cup": (1.0, 0.25), "lamp": (0.0, 1.0)}
TIMES = 15
"""How often each file is damaged."""


def whole(folder: Path, *, coded: bool) -> Path:
    """A bundle with everything that a bundle can have."""
    blend = {"neighbours": 0.5, "repeat": 1.0}
    make_bundle(folder, VECTORS, coded=coded, tower=True, blend=blend)
    add_neighbours(folder, {1: {2: 0.5}, 3: {1: 0.25}}, rows=4)
    repeat = {"counts": [2], "recency_days": [7], "score": [[1, 2], [3, 4]]}
    write_json(folder / "repeat.json", repeat)
    (folder / "card.md").write_text("# A card\n")
    seal(folder)
    return folder


def use(folder: Path) -> None:
    """Load, prove and score; raises BundleRefused, and must raise nothing else."""
    bundle = load_bundle(folder)
    encoder = Encoder(bundle)
    check_golden(bundle, encoder)
    assert bundle.content is not None
    ContentTower(bundle.tower_path, bundle.content, bundle.settings.dimensions)
    golden = bundle.golden
    query = encoder.encode_batch(golden.items, golden.actions, golden.gaps)[0]
    known = Known(np.array([1], np.int32), np.array([PURCHASE]), np.array([0]))
    assert np.isfinite(Scorer(bundle).scores(query, known, 10)).all()


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Cut off, longer, or with a few bytes changed."""
    kind = chance.randrange(4)
    if kind == 0:
        return content[: chance.randrange(len(content))]
    if kind == 1:
        return content + bytes(chance.randrange(1, 99))
    spoiled = bytearray(content)
    for _ in range(chance.randrange(1, 6)):
        spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
    return bytes(spoiled)


@pytest.mark.parametrize("coded", [False, True])
def test_damage_is_refused_by_name_or_harmless(tmp_path: Path, coded: bool) -> None:
    """Every file, damaged by chance under a manifest that says it should be so."""
    folder = whole(tmp_path / "bundle", coded=coded)
    use(folder)
    chance = random.Random(5)
    refusals = []
    for name in (each for each in FILES if (folder / each).exists()):
        content = (folder / name).read_bytes()
        for _ in range(TIMES):
            (folder / name).write_bytes(damaged(content, chance))
            seal(folder)
            try:
                use(folder)
            except BundleRefused as error:
                refusals.append(str(error))
        (folder / name).write_bytes(content)
    assert len(refusals) > 5 * TIMES
    assert all(str(folder) in each for each in refusals)


def test_files_that_lie_beside_a_bundle_are_no_part_of_it(tmp_path: Path) -> None:
    """What the manifest does not name is not read; what it names, it must know."""
    folder = whole(tmp_path / "bundle", coded=False)
    (folder / "notes.txt").write_text("mine")
    use(folder)
    shutil.copytree(folder, tmp_path / "copy")
    seal(tmp_path / "copy", files={"../bundle/items.npy": "0"})
    with pytest.raises(BundleRefused, match="the list of files is wrong about"):
        use(tmp_path / "copy")
