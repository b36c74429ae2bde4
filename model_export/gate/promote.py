"""Lets a candidate replace the current bundle, if nothing speaks against it.

The current bundle is first copied to ``NAME.previous``, then the candidate is copied into its
place; each appears at once and whole. Whatever is killed when, the current folder holds the
one bundle or the other.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from model_export.dataset import Prepared
from model_export.errors import CheckUnusable, DataRefused
from model_export.evaluation.evaluate import Progress
from model_export.exporting.placing import appearing
from model_export.exporting.verify import verify
from model_export.gate.admission import check_candidate, check_current
from model_export.gate.comparison import Comparison, compare
from model_export.gate.latency import EncoderLatency
from model_export.gate.quality import NoSegmentWorse, NotWorse
from model_export.gate.settings import GateSettings
from model_export.gate.verdict import REFUSED, Check, Decision, Verdict
from services.shared.bundle import MANIFEST, Bundle, load_bundle

BUILT_IN: Final[Sequence[Check]] = (NotWorse(), NoSegmentWorse(), EncoderLatency())


def promote(
    candidate: Path,
    current: Path,
    data: Prepared,
    *,
    settings: GateSettings,
    checks: Sequence[Check] = BUILT_IN,
    current_is_older: bool = False,
    dry_run: bool = False,
    progress: Progress = lambda _: None,
) -> Decision:
    """Judge the bundle in ``candidate`` and, if it is accepted, put it in place of ``current``.

    Raises BundleRefused where a bundle is not whole, DataRefused where the two cannot be
    compared on ``data``, CheckUnusable where a check fails, BundleNotWritten where the disk
    does not take it. Whatever is raised, what was there is as it was.
    """
    progress("bundles: sums and golden outputs")
    new = verify(candidate)
    check_candidate(new, data.source)
    old = _current(current, candidate)
    verdicts: list[Verdict] = []
    if old is not None and old.manifest.version != new.manifest.version:
        check_current(old, data.source, older=current_is_older)
        comparison = compare(data, new, old, settings, progress=progress)
        verdicts = [_judged(check, comparison, progress) for check in checks]
    refused = [each.check for each in verdicts if each.outcome == REFUSED]
    same = old is not None and old.manifest.version == new.manifest.version
    installed = not refused and not same and not dry_run
    if installed:
        install(candidate, current, expected=new)
    return Decision(
        candidate=new.manifest.version,
        current=old.manifest.version if old else None,
        data=data.source.name,
        accepted=not refused,
        installed=installed,
        says=_says(new, old, current, refused, dry_run=dry_run),
        verdicts=verdicts,
    )


def install(candidate: Path, current: Path, *, expected: Bundle) -> None:
    """Put the candidate's files in place of the current ones, those to ``NAME.previous``.

    Raises DataRefused where the candidate is no longer what was ``expected``.
    """
    if not _is_free(current):
        with appearing(previous(current)) as made:
            _copy(current, made)
    with appearing(current) as made:
        _copy(candidate, made)
        if load_bundle(made).manifest != expected.manifest:
            raise DataRefused(f"{candidate} changed while it was judged: judge it again")


def previous(current: Path) -> Path:
    """Where the bundle is kept that was replaced last."""
    return current.with_name(f"{current.name}.previous")


def _current(folder: Path, candidate: Path) -> Bundle | None:
    """The bundle that is to be replaced, if there is one."""
    if folder.resolve() == candidate.resolve():
        raise DataRefused(f"{folder} is named both as the candidate and as the current bundle")
    there = [each for each in (folder, previous(folder)) if not _is_free(each)]
    for each in there:
        if not (each / MANIFEST).is_file():
            raise DataRefused(
                f"{each} is there and is no bundle, and would be replaced by one: move it away, or "
                "name another folder with --current"
            )
    return verify(folder) if folder in there else None


def _is_free(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def _judged(check: Check, comparison: Comparison, progress: Progress) -> Verdict:
    progress(f"check: {check.name}")
    try:
        found = check.judge(comparison)
    except Exception as error:  # whatever a plug-in's own code raises
        raise CheckUnusable(
            f"check {check.name} failed, so nothing is promoted: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, Verdict):
        raise CheckUnusable(f"check {check.name} gave no verdict, so nothing is promoted")
    return found


def _copy(bundle: Path, folder: Path) -> None:
    for path in sorted(bundle.iterdir()):
        if path.is_file():
            shutil.copyfile(path, folder / path.name)


def _says(
    new: Bundle, old: Bundle | None, current: Path, refused: Sequence[str], *, dry_run: bool
) -> str:
    version = new.manifest.version
    if old is None:
        done = "would be put there" if dry_run else "is now there"
        return (
            f"{current} held no bundle, so there was nothing to compare with: {version} is whole, "
            f"of this data, and {done}."
        )
    if old.manifest.version == version:
        return f"{version} is the current bundle already; nothing was done."
    if refused:
        return f"Refused by {', '.join(refused)}: {old.manifest.version} stays in {current}."
    if dry_run:
        return f"{version} would replace {old.manifest.version} in {current}; nothing was done."
    return (
        f"{version} is now in {current}; {old.manifest.version}, which it replaces, is kept in "
        f"{previous(current)}."
    )
