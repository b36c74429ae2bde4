"""What the card says, section by section, from the facts of one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from model_export.card import charts
from model_export.card.limits import limits, percent
from model_export.card.origin import data_blocks
from model_export.dataset import Prepared
from model_export.evaluation.evaluate import Evaluation, Row
from model_export.evaluation.learning_curve import LearningCurve
from model_export.evaluation.metrics import Interval
from model_export.training.checkpoint import Checkpoint
from services.shared.bundle_settings import Blend
from services.shared.document import (
    Bullets,
    Document,
    Paragraph,
    Picture,
    Section,
    Table,
    plain,
)
from services.shared.repeat import MASKED, RepeatTable

METRICS: Final = ("hit rate@10", "recall@10", "NDCG@10")
MODEL: Final = "model"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a card is made of."""

    data: Prepared
    checkpoint: Checkpoint
    blend: Blend
    repeat: RepeatTable | None
    """As export writes it: already scaled."""
    evaluation: Evaluation
    curve: LearningCurve | None
    """None where it was not measured."""


def document(facts: Facts) -> Document:
    """The card."""
    source = facts.data.source
    products = f"{len(facts.checkpoint.product_ids):,}"
    return Document(
        title=f"Model card: {plain(source.name)}",
        lead=f"Ranks {products} products for what a shopper does next, from what they did "
        f"before. {_summary(facts.evaluation)}",
        sections=[
            Section("Intended use", [Bullets(USE)]),
            Section("Data", data_blocks(facts.data)),
            Section("How good it is", _quality(facts.evaluation)),
            Section("For whom, and for what", _segments(facts.evaluation)),
            Section("Training", _training(facts.checkpoint)),
            Section("How much data is enough", _learning(facts)),
            Section("Architecture and settings", _settings(facts)),
            Section(
                "Known limits",
                [Bullets(limits(facts.data, facts.checkpoint, facts.evaluation))],
            ),
        ],
    )


USE: Final = (
    "For ranking the products of the shop that the data is of, for its shoppers, by "
    "`services/recommendations`: home page, product page, cart, e-mail.",
    "Not for another shop's product ids, for guessing anything about a person, or for "
    "decisions that weigh more than what to show.",
    "Before it replaces another model, `python -m model_export promote` compares the two.",
)


def _summary(evaluation: Evaluation) -> str:
    """How the model stands beside the best baseline, by NDCG, on each question."""
    said = []
    for purchases in ("all", "new"):
        rows = [row for row in evaluation.rows if row.purchases == purchases]
        model = next((row for row in rows if row.method == MODEL), None)
        if model is None:
            continue
        best = max((row for row in rows if row is not model), key=lambda row: row.ndcg.mean)
        relation = "above" if model.ndcg.mean > best.ndcg.mean else "not above"
        said.append(
            f"on {purchases} purchases its NDCG@10 is {model.ndcg.mean:.4f}, {relation} the "
            f"best baseline's {best.ndcg.mean:.4f} ({best.method})"
        )
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}."


def _quality(evaluation: Evaluation) -> list[Paragraph | Picture | Table]:
    days = evaluation.popularity_days
    window = f"of the last {days} days" if days else "of all time"
    return [
        Paragraph(
            f"{evaluation.cases:,} held-out baskets of {evaluation.users:,} users, each foretold "
            "from all that its user did before it; every product is ranked, and no candidates "
            f"are sampled. {evaluation.cases_new:,} of them have products that are new to the "
            "user: for these, what the user had bought is left out of the rankings. In "
            "brackets: 95 % intervals by a bootstrap over users."
        ),
        Picture(
            "methods",
            f"The model beside its baselines; popularity {window}.",
            charts.methods_svg(evaluation),
        ),
        Table(
            ("purchases", "method", *METRICS),
            [
                (row.purchases, row.method, *_figures(row))
                for row in sorted(evaluation.rows, key=lambda row: row.purchases)
            ],
            words=2,
        ),
    ]


def _segments(evaluation: Evaluation) -> list[Paragraph | Picture | Table]:
    blocks: list[Paragraph | Picture | Table] = [
        Paragraph(
            "New shoppers have fewer than 10 interactions before the basket. Head products are "
            "the fewest that took half of the training part's interactions; of a basket only "
            "the products of the one or the other kind count."
        )
    ]
    if evaluation.segments:
        asked = evaluation.segments[0].rows[0].purchases
        blocks += [
            Paragraph(f"Segments are asked of {asked} purchases."),
            Picture("segments", "The same in each large segment.", charts.segments_svg(evaluation)),
            Table(
                ("segment", "baskets", "users", *METRICS, "best baseline's NDCG@10"),
                [
                    (plain(part.name), f"{part.cases:,}", f"{part.users:,}", *_beside(part.rows))
                    for part in evaluation.segments
                ],
            ),
        ]
    if evaluation.too_small:
        names = ", ".join(plain(name) for name in evaluation.too_small)
        blocks.append(Paragraph(f"Too few users for figures of their own: {names}."))
    return blocks


def _beside(rows: Sequence[Row]) -> tuple[str, ...]:
    """The model's figures, then the best baseline's NDCG and its name."""
    model = next((row for row in rows if row.method == MODEL), rows[0])
    best = max((row for row in rows if row.method != MODEL), key=lambda row: row.ndcg.mean)
    return (*_figures(model), f"{_figure(best.ndcg)} {best.method}")


def _training(checkpoint: Checkpoint) -> list[Paragraph | Picture]:
    again = (
        " Then it was trained so long again, with the validation part included."
        if checkpoint.settings.refit
        else ""
    )
    return [
        Picture(
            "training",
            "Loss over the training part and NDCG@10 on the validation part, by epoch.",
            charts.training_svg(checkpoint.whole_curve, checkpoint.epoch),
        ),
        Paragraph(
            f"{len(checkpoint.curve)} epochs were seen; epoch {checkpoint.epoch} is the best on "
            f"the validation part, with an NDCG@10 of {checkpoint.validation_ndcg:.4f}."
            f"{_as_codes(checkpoint)}{again} "
            "The held-out part was looked at for this card alone."
        ),
    ]


def _as_codes(checkpoint: Checkpoint) -> str:
    """What became of it where its products became codes."""
    coded = checkpoint.as_codes
    if coded is None:
        return ""
    return (
        f" Then each product's vector became a code of {checkpoint.architecture.codes} bytes, and "
        f"the model learned on as such for {len(coded.curve)} more epochs; epoch {coded.epoch} is "
        f"the best of these, with an NDCG@10 of {coded.validation_ndcg:.4f}: this model is of it."
    )


def _learning(facts: Facts) -> list[Paragraph | Picture | Table]:
    curve, checkpoint = facts.curve, facts.checkpoint
    how = "`python -m model_export learning-curve DATA --checkpoint FOLDER`"
    if curve is None:
        return [Paragraph(f"Not measured. {how} measures it, and `export` puts it here.")]
    if (curve.source, curve.settings) != (checkpoint.data, checkpoint.settings):
        return [
            Paragraph(
                "Not measured for this model: the curve in the checkpoint's folder is of other "
                f"data or settings. {how} measures it again."
            )
        ]
    return [
        Picture(
            "learning",
            "What models that learned from a share of the users reach on the same held-out "
            "baskets.",
            charts.learning_svg(curve),
        ),
        Table(
            ("share", "users", "interactions", "products known", "purchases", *METRICS),
            [
                (
                    percent(point.share),
                    f"{point.users:,}",
                    f"{point.interactions:,}",
                    f"{point.products:,}",
                    row.purchases,
                    *_figures(row),
                )
                for point in curve.points
                for row in point.rows
            ],
        ),
        Paragraph(
            "Shares hold the smaller ones; settings are derived from each anew. Each model was "
            "blended and exported as this one; none learned from the validation part."
        ),
    ]


def _settings(facts: Facts) -> list[Paragraph | Table]:
    checkpoint = facts.checkpoint
    told, shape = msgspec.structs.asdict(checkpoint.settings), checkpoint.architecture
    text = f"text vectors of {shape.text:,} numbers" if shape.text else "no text vectors"
    return [
        Paragraph(
            f"A Transformer ({shape.kind}) over {shape.products:,} products with "
            f"{shape.features:,} features between them and {text}. The settings that it was "
            "trained with, as options of `python -m model_export train`:"
        ),
        Table(
            ("setting", ""),
            [(f"`--{name.replace('_', '-')}`", _value(value)) for name, value in told.items()],
        ),
        Paragraph(_blended(facts.blend, facts.repeat)),
        Paragraph(
            "Made with "
            + ", ".join(f"{name} {number}" for name, number in checkpoint.versions.items())
            + ". The same data, settings and versions on the same processor make the same "
            "model."
        ),
    ]


def _blended(blend: Blend, repeat: RepeatTable | None) -> str:
    """What a score is made of, see :mod:`services.shared.scores`."""
    said = ["A product's score is the encoder's query times its vector."]
    if repeat is not None:
        scores = {score for row in repeat.score for score in row}
        if scores == {MASKED}:
            said.append("What the shopper has bought comes after all else.")
        elif repeat.again or scores != {0}:
            said.append("What the shopper has bought gains what buying it again is worth.")
    more = []
    if blend.neighbours:
        told = f"likeness to the products of the history, weighed {blend.neighbours:.4g}"
        later = f", each interaction counting {blend.decay:.4g} times as much as the one after it"
        more.append(told + (later if blend.decay < 1 else ""))
    if repeat is not None and repeat.first:
        more.append("how often others buy it for the first time")
    if more:
        who = "Every product" if repeat is None else "Anything else"
        said.append(f"{who} gains {', and '.join(more)}.")
    return " ".join(said)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else plain(str(value))


def _figures(row: Row) -> tuple[str, ...]:
    return tuple(_figure(each) for each in (row.hit_rate, row.recall, row.ndcg))


def _figure(figure: Interval) -> str:
    return f"{figure.mean:.4f} [{figure.low:.4f}, {figure.high:.4f}]"
