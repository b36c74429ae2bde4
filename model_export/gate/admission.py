"""Whether two bundles can be compared on a prepared folder at all: what each learned from.

A model that has seen the held-out days would win by that. So the candidate must be of this
very data and split. The current model may be of it as well, or, where that is said, older:
then everything it learned from must lie before the held-out days.
"""

from __future__ import annotations

from typing import Final

from model_export.dataset import Source
from model_export.errors import DataRefused
from model_export.exporting.origin import origin
from services.shared.bundle import Bundle

SPLIT: Final = ("split", "validation_from", "held_out_from")


def check_candidate(bundle: Bundle, source: Source) -> None:
    """Raise DataRefused where the candidate is not of this data, split in this way."""
    if said := _other(bundle, source):
        raise DataRefused(
            f"the candidate {bundle.manifest.version} {said}: a comparison on days that it "
            "may have learned from means nothing; name the folder that it was exported with"
        )


def check_current(bundle: Bundle, source: Source, *, older: bool) -> None:
    """Raise DataRefused where the current model may have learned from what is held out."""
    said = _other(bundle, source)
    if not said:
        return
    version, made_of = bundle.manifest.version, bundle.manifest.created_from
    if not older:
        raise DataRefused(
            f"the current bundle {version} {said}: a comparison on days that it may have "
            "learned from means nothing; export it again from this folder or, if it is of "
            "earlier data of the same shop, say --current-is-older"
        )
    until = str(made_of.get("held_out_from"))
    cut = str(origin(source)["held_out_from"])
    if not source.held_out_from or made_of.get("split") != source.split or until > cut:
        raise DataRefused(
            f"the current bundle {version} learned from days up to {until}, and this folder "
            f"holds out what is from {cut}: hold out fewer days, those that are new to it"
        )


def _other(bundle: Bundle, source: Source) -> str:
    """In words what is different; nothing where nothing is."""
    made_of, here = bundle.manifest.created_from, origin(source)
    if made_of.get("sha256") != here["sha256"]:
        return f"was made from {made_of.get('data')}, this folder from other data, {source.name}"
    if any(made_of.get(name) != here[name] for name in SPLIT):
        return (
            f"was split {made_of.get('split')} and held out from {made_of.get('held_out_from')}, "
            f"this folder {source.split} and from {here['held_out_from']}"
        )
    return ""
