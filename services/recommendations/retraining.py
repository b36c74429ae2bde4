"""One round of retraining: from the archive to a bundle in the shadow of the served one.

::

    prepare ──► train ──► export ──► gate ──► publish ──► shadow
                                      └── refused: nothing has changed for anybody

The first four are commands of ``model_export``, each in a process of its own; what they leave is in
the round's folder. Killed anywhere, the next round of the same shop goes on where this one was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
import structlog
from msgspec.structs import replace

from services.recommendations.adapters.child import Ended
from services.recommendations.adapters.model import prove
from services.recommendations.adapters.registry import TRIES, Registry
from services.recommendations.adapters.round_folder import (
    Ending,
    Gated,
    Progress,
    RoundFolder,
)
from services.recommendations.domain.next_step import (
    HOUR,
    RETRAINING,
    Entry,
    entry,
    open_trial,
    was_tried,
)
from services.recommendations.domain.transitions import publish, shadow
from services.shared.errors import (
    AttuneError,
    RoundRefused,
    StepUnfinished,
    StorageUnavailable,
    Unavailable,
)

MADE: Final = ("prepare", "train", "export")
DRY: Final = ("--current-is-older", "--dry-run", "--json")
STEPS: Final = (*MADE, "gate")
"""Those that are told options of their own."""

Run = Callable[[Sequence[str]], Ended]
"""Runs a module with words. Raises StepUnfinished."""

_log = structlog.get_logger()


class Plan(NamedTuple):
    """What a round is told."""

    shop_id: str
    archive: str
    master_key_file: str
    options: Mapping[str, Sequence[str]]
    """Further words for each of :data:`STEPS`."""
    sample: float
    """Of the answers, so many are asked of the shadow, too."""
    fresh_hours: float
    """What was begun longer ago begins anew."""


class _Verdict(msgspec.Struct, frozen=True):
    outcome: str
    says: str


class _Decision(msgspec.Struct, frozen=True):
    """Of what the gate answers, what is needed here."""

    candidate: str
    accepted: bool
    says: str
    verdicts: list[_Verdict]

    def words(self) -> str:
        """Why it was refused, as far as checks have said so."""
        against = [each.says for each in self.verdicts if each.outcome == "refused"]
        return " ".join([self.says, *against])


class Round:
    """A round of one shop."""

    def __init__(
        self,
        registry: Registry,
        folder: RoundFolder,
        plan: Plan,
        *,
        run: Run,
        now: Callable[[], int],
    ) -> None:
        """``now`` answers microseconds since 1970."""
        self._registry = registry
        self._folder = folder
        self._plan = plan
        self._run = run
        self._now = now
        self._progress = folder.progress() or self._new()

    def to_its_end(self) -> Ending:
        """Do what is left of it. Raises RoundRefused where it has ended, Unavailable where not."""
        try:
            found = self._bring()
        except Unavailable as error:
            self._end("unfinished", str(error), is_over=False)
            raise
        except AttuneError as error:
            self._end("refused", str(error), is_over=True)
            raise
        return self._end(found.outcome, found.says, is_over=found.outcome != "waiting")

    def _bring(self) -> Entry:
        shop_id = self._plan.shop_id
        trial = open_trial(self._registry.history(shop_id))
        if trial is not None and trial.version != self._candidate:
            says = f"the trial of {trial.version}, led by {trial.lead}, goes first"
            return Entry("waiting", says)
        if trial is None:
            self._make()
            self._publish()
        for _ in range(TRIES):
            found = self._enter()
            if found is not None:
                return found
        raise StorageUnavailable(f"{shop_id}: {TRIES} times another change was quicker")

    def _enter(self) -> Entry | None:
        """Bring the candidate into the shadow, or say why not; None where another was quicker."""
        registry, shop_id, version = self._registry, self._plan.shop_id, self._candidate
        gated = self._progress.gated
        serving = registry.serving(shop_id)
        found = entry(
            serving,
            open_trial(registry.history(shop_id)),
            version=version,
            against=None if gated is None else gated.against,
            tried=was_tried(registry.history(shop_id), version),
        )
        if found.outcome == "gate again":
            self._gate()
            return None
        if found.outcome != "shadow":
            return found
        sample = self._plan.sample
        after = registry.change_from(
            serving,
            shop_id,
            partial(shadow, version=version, sample=sample),
            who=RETRAINING,
            what=f"shadow {version}, {sample:g}",
            why=found.says,
        )
        return None if after is None else Entry("on trial", f"{version} is in the shadow")

    def _make(self) -> None:
        progress, plan = self._progress, self._plan
        is_old = self._now() - progress.began_at > plan.fresh_hours * HOUR
        if progress.told != self._told() or is_old:
            self._progress = progress = self._new()
        if not progress.seconds:
            self._folder.begin(progress)
            _log.info("round_began", shop_id=plan.shop_id)
        for name in MADE:
            if name not in progress.seconds:
                self._ended(name, self._words(name))
        if self._progress.gated is None:
            self._gate()

    def _gate(self) -> None:
        """Hold the candidate to what is served now. Raises RoundRefused."""
        served = self._registry.serving(self._plan.shop_id)
        folder = self._folder.emptied("served")
        if served.served is not None:
            published = served.of(served.served)
            if published is None:
                raise RoundRefused(
                    f"{served.served} is served and not published: a person must look"
                )
            self._registry.fetch(self._plan.shop_id, published, folder)
        said = self._ended("gate", self._words("gate"), allowed=(0, 1)).said
        try:
            decision = msgspec.json.decode(said, type=_Decision)
        except msgspec.MsgspecError as error:
            raise StepUnfinished(f"gate gave no decision: {error}") from error
        if not decision.accepted:
            raise RoundRefused(decision.words())
        self._note(gated=Gated(candidate=decision.candidate, against=served.served))

    def _publish(self) -> None:
        shop_id, folder = self._plan.shop_id, self._folder.place("bundle")
        prove(folder)
        bundle = self._registry.upload(shop_id, folder)
        self._registry.change(
            shop_id,
            partial(publish, bundle=bundle),
            who=RETRAINING,
            what=f"publish {bundle.version}",
            why="",
        )

    def _ended(self, name: str, words: Sequence[str], allowed: Sequence[int] = (0,)) -> Ended:
        """Run a step to its end, and note that. Raises RoundRefused, StepUnfinished."""
        began = self._now()
        ended = self._run(words)
        if ended.status == 2:
            raise RoundRefused(f"{name}: {ended.last_words}")
        if ended.status not in allowed:
            raise StepUnfinished(f"{name} ended with status {ended.status}: {ended.last_words}")
        took = (self._now() - began) / 1e6
        _log.info("round_step_done", shop_id=self._plan.shop_id, step=name, seconds=round(took, 3))
        self._note(seconds={**self._progress.seconds, name: took})
        return ended

    def _words(self, name: str) -> list[str]:
        plan = self._plan
        data, checkpoint, bundle, served = (
            str(self._folder.place(each)) for each in ("data", "checkpoint", "bundle", "served")
        )
        source = ["--archive", plan.archive, "--master-key-file", plan.master_key_file]
        usual = {
            "prepare": ["prepare", *source, "--shop", plan.shop_id, "--to", data],
            "train": ["train", data, "--to", checkpoint],
            "export": ["export", data, "--checkpoint", checkpoint, "--to", bundle],
            "gate": ["promote", bundle, "--current", served, data, *DRY],
        }
        return ["model_export", *usual[name], *plan.options.get(name, ())]

    @property
    def _candidate(self) -> str:
        return self._progress.gated.candidate if self._progress.gated else ""

    def _told(self) -> tuple[str, ...]:
        plan = self._plan
        words = [word for name in MADE for word in (name, *plan.options.get(name, ()))]
        return (plan.archive, *words)

    def _new(self) -> Progress:
        return Progress(began_at=self._now(), told=self._told())

    def _note(self, **changed: object) -> None:
        self._progress = replace(self._progress, **changed)
        self._folder.note(self._progress)

    def _end(self, outcome: str, says: str, *, is_over: bool) -> Ending:
        progress, shop_id = self._progress, self._plan.shop_id
        ending = Ending(
            shop_id=shop_id,
            outcome=outcome,
            says=says,
            version=self._candidate,
            began_at=progress.began_at,
            ended_at=self._now(),
            seconds=progress.seconds,
        )
        self._folder.end(ending, is_over=is_over)
        told = {"shop_id": shop_id, "outcome": outcome, "version": ending.version, "why": says}
        if outcome in ("refused", "unfinished"):
            _log.error("round_failed", **told)
        else:
            _log.info("round_ended", **told)
        return ending
