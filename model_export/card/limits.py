"""What a model cannot do, or what nobody has looked at, as far as the facts tell."""

from __future__ import annotations

from model_export.dataset import Prepared
from model_export.evaluation.cases import HISTORY
from model_export.evaluation.evaluate import Evaluation
from model_export.training.checkpoint import Checkpoint


def limits(data: Prepared, checkpoint: Checkpoint, evaluation: Evaluation) -> list[str]:
    """A sentence or two for each limit."""
    return [
        _without_vector(data, checkpoint),
        _cold(checkpoint),
        f"It sees the newest {checkpoint.settings.max_length} interactions of a shopper, of at "
        f"most {HISTORY} that count; what lies before them is forgotten.",
        _groups(data, evaluation),
        _split(data),
        "It learned what shoppers did with what they were shown and could find. What was never "
        "shown could not be bought: such a product may be ranked too low here and in the "
        "figures alike.",
        "The figures are of the ranking alone. A server also hides what cannot be had, lifts "
        "what was just searched for and mixes categories.",
    ]


def _without_vector(data: Prepared, checkpoint: Checkpoint) -> str:
    catalogue, known = data.source.catalogue_size, len(checkpoint.product_ids)
    missing = max(0, catalogue - known)
    return (
        f"{missing:,} of {catalogue:,} products ({percent(missing / max(1, catalogue))}) have no "
        f"vector here: {_few(checkpoint)}, and nothing is known of their content. The model "
        "cannot rank them; search, trends and categories still show them."
    )


def _cold(checkpoint: Checkpoint) -> str:
    cold, known = len(checkpoint.without_id), len(checkpoint.product_ids)
    if not cold:
        return (
            "All products that it ranks were learned from interactions; how good it is for "
            "products that nobody has turned to yet was not measured."
        )
    return (
        f"{cold:,} of its {known:,} products ({percent(cold / known)}) are known by their content "
        f"alone, as {_few(checkpoint)}: expect less of these."
    )


def _few(checkpoint: Checkpoint) -> str:
    """Why a product has no vector of its own."""
    least = checkpoint.settings.least_interactions
    if least == 1:
        return "nobody turned to them in training"
    return f"training had fewer than {least:,} interactions with each"


def _groups(data: Prepared, evaluation: Evaluation) -> str:
    known = sum(1 for group in data.ids.groups if group is not None)
    if not known:
        return (
            "No demographic groups are known in the data, so whether it serves some people "
            "worse than others was not looked at."
        )
    there = len({group for group in data.ids.groups if group is not None})
    judged = sum(1 for part in evaluation.segments if part.name.startswith("group "))
    return (
        f"Demographic groups are known for {percent(known / len(data.ids.groups))} of the "
        f"users; {judged} of {there} are large enough for figures of their own."
    )


def _split(data: Prepared) -> str:
    if data.source.held_out_from:
        return (
            "It was tested on one period, right after what it learned from. Other seasons, and "
            "how fast it ages, are not in the figures."
        )
    return (
        "It was tested on each user's last interaction, which may be older than what it learned "
        "from others: the figures compare with papers, and flatter a model that serves "
        "tomorrow's shoppers."
    )


def percent(share: float) -> str:
    """A share such as ``12.5 %``."""
    return f"{100 * share:.2f}".rstrip("0").removesuffix(".") + " %"
