"""How much data is enough: measured with real trainings on shares of the users."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from model_export import prepared_folder
from model_export.__main__ import main
from model_export.dataset import HELD_OUT, TRAIN, Prepared
from model_export.errors import DataRefused
from model_export.evaluation import learning_curve
from model_export.evaluation.cases import cases_of
from model_export.evaluation.evaluate import Evaluation
from model_export.exporting.learning_curve import LEFT_OUT, Subset, settings_of_share
from tests.model_parts import QUICK, by_time, rounds


@pytest.fixture(scope="module")
def data(made: Path) -> Prepared:
    return prepared_folder.load(made / "data")


def test_a_share_learns_from_some_users_and_is_asked_for_all(data: Prepared) -> None:
    """Of the others the training part is not learned from; held-out baskets stay as they are."""
    chosen = np.arange(len(data.ids.users)) < 6
    (part,) = Subset([data], chosen)[:]
    assert np.unique(part.users[part.parts == TRAIN]).tolist() == list(range(6))
    assert np.unique(part.users[part.parts == LEFT_OUT]).tolist() == list(
        range(6, len(data.ids.users))
    )
    whole, share = cases_of(data, HELD_OUT), cases_of(part, HELD_OUT)
    assert [case.before for case in whole] == [case.before for case in share]
    for one, other in zip(whole, share, strict=True):
        assert np.array_equal(one.relevant, other.relevant)


def test_a_share_gets_the_settings_of_its_size(data: Prepared) -> None:
    """What was derived from the data is derived anew, and what was told stays told."""
    part = Subset([data], np.arange(len(data.ids.users)) < 6)
    told = msgspec.structs.replace(QUICK, epochs=3, refit=True)
    found = settings_of_share(data.about, [data], part, told)
    assert (found.epochs, found.dimensions, found.refit) == (3, QUICK.dimensions, False)
    derived = msgspec.structs.replace(QUICK, max_length=20, epochs=40)
    assert settings_of_share(data.about, [data], part, derived).max_length == 20


def test_the_curve_is_measured_once_and_goes_into_the_card(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each share; what is in the file is not measured again; export shows it."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for path in (made / "checkpoint").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    command = f"learning-curve {made}/data --checkpoint {folder} --shares"
    assert main([*command.split(), "20,100"]) == 0
    said = capsys.readouterr().out
    assert "the same 120 baskets of 60 users" in said
    assert "\n20%  " in said
    curve = learning_curve.load(folder)
    assert curve is not None
    assert [point.share for point in curve.points] == [0.2, 1.0]
    assert curve.points[0].users < curve.points[1].users
    assert curve.points[1].seconds == 0  # the checkpoint itself
    report = msgspec.json.decode((made / "bundle/report.json").read_bytes(), type=Evaluation)
    whole = next(row for row in report.rows if row.method == "model")
    assert curve.points[1].rows[0] == whole  # as it is exported
    before = (folder / learning_curve.NAME).read_bytes()
    assert main([*command.split(), "20,100"]) == 0
    assert (folder / learning_curve.NAME).read_bytes() == before
    assert (folder / "learning-curve.svg").read_text().startswith("<svg")


def test_a_curve_that_cannot_be_read(tmp_path: Path) -> None:
    """It is said how to get another."""
    assert learning_curve.load(tmp_path) is None
    (tmp_path / learning_curve.NAME).write_text("{}")
    with pytest.raises(DataRefused, match="is no learning curve of this release"):
        learning_curve.load(tmp_path)


def test_a_curve_of_other_data_is_refused(made: Path, tmp_path: Path) -> None:
    """A checkpoint of other data has no curve on these."""
    prepared_folder.save(by_time(rounds(users=20)), tmp_path)
    assert main(["learning-curve", str(tmp_path), "--checkpoint", f"{made}/checkpoint"]) == 2
