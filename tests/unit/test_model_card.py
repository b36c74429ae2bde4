"""The model card: what it says, that it stands alone, and that it says it the same way twice."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from model_export.card.card import card
from model_export.card.charts import training_svg
from model_export.card.contents import Facts, document
from model_export.card.limits import limits
from model_export.card.markdown import markdown
from model_export.dataset import Prepared
from model_export.evaluation import learning_curve
from model_export.evaluation.evaluate import Evaluation, evaluate
from model_export.evaluation.learning_curve import LearningCurve, Point
from model_export.planning.learning import read_curve
from model_export.training.checkpoint import Checkpoint, Coded, Epoch
from services.shared.bundle import load_bundle
from services.shared.bundle_settings import Blend
from services.shared.document import Document, Paragraph, Section, Table, plain
from services.shared.document_page import page
from services.shared.repeat import MASKED, RepeatTable, numbers
from tests.gate_parts import shelf_bundle, shop
from tests.model_parts import QUICK


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """A shop with groups and merchants, and a model whose training was made up."""
    data = shop()
    losses = msgspec.structs.replace(
        data.source, rows_read=2_000, left_out={"same_event": 60, "bot": 20}, catalogue_size=30
    )
    data = replace(data, source=losses)
    bundle = load_bundle(shelf_bundle(tmp_path_factory.mktemp("card") / "bundle", data))
    evaluation = evaluate(data, bundle, large=40)
    made = checkpoint(data), Blend(neighbours=0.5), None, evaluation, curve(data, evaluation)
    return Facts(data, *made)


def checkpoint(data: Prepared) -> Checkpoint:
    products = len(data.ids.items)
    return Checkpoint(
        architecture=QUICK.shape(products=products, features=2, text=0),
        settings=QUICK,
        data=data.source,
        epoch=2,
        validation_ndcg=0.43,
        curve=[Epoch(1, 3.0, 0.3), Epoch(2, 2.5, 0.43), Epoch(3, 2.4, 0.42)],
        versions={"torch": "9.9", "numpy": "8.8"},
        product_ids=data.ids.items,
        without_id=[1, 2, 3],
    )


def curve(data: Prepared, evaluation: Evaluation) -> LearningCurve:
    rows = [row for row in evaluation.rows if row.method == "model"]
    points = [
        Point(share, round(120 * share), round(1_560 * share), 24, 2, 1.5, rows[0].ndcg, rows)
        for share in (0.1, 0.5, 1.0)
    ]
    return LearningCurve("hand.csv", data.source, QUICK, 1, 240, 120, points)


@pytest.fixture(scope="module")
def files(facts: Facts) -> dict[str, str]:
    """The card, once."""
    return {name: content.decode() for name, content in card(facts).items()}


def shown(text: str) -> str:
    """The text on one line, without Markdown's backslashes and HTML's tags."""
    text = re.sub(r"<svg.*?</svg>|<style>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"</t[dh]>", " | ", text)
    return " ".join(re.sub(r"<[^>]+>|\\", "", text).replace("&#x27;", "'").split())


def test_the_same_facts_make_the_same_bytes(facts: Facts, files: dict[str, str]) -> None:
    """Nothing in it says when or where it was made; it does not weigh more than a model."""
    again = card(facts)
    assert {name: content.decode() for name, content in again.items()} == files
    assert files.keys() == {"card.md", "card.html"}
    assert max(map(len, files.values())) < 200_000


@pytest.mark.parametrize("name", ["card.md", "card.html"])
def test_what_the_card_says(facts: Facts, files: dict[str, str], name: str) -> None:
    """Span, losses, figures by segment beside baselines, curves, settings, versions, limits."""
    said = shown(files[name])
    for part in (
        "1970-01-01T00:00:00+00:00 to 1970-01-16T00:00:00+00:00",
        "Preparation read 2,000 rows and left out 80 of them (4 %):",
        "an event that was sent again | 60 | 3 %",
        "bot | 20 | 1 %",
        "240 held-out baskets of 120 users",
        "known shoppers",
        "tail products",
        "group b",
        "Segments are asked of all purchases.",
        "Too few users for figures of their own: group a, group c.",
        "3 epochs were seen; epoch 2 is the best on the validation part, with an NDCG@10 of 0.43",
        "A Transformer (causal) over 24 products with 2 features between them",
        "--max-length",
        "Every product gains likeness to the products of the history, weighed 0.5.",
        "torch 9.9, numpy 8.8",
        "6 of 30 products (20 %) have no vector here: nobody turned to them in training",
        "3 of its 24 products (12.5 %) are known by their content alone, as nobody turned to them",
        "It sees the newest 12 interactions of a shopper, of at most 100 that count",
        "Demographic groups are known for 100 % of the users; 1 of 3 are large enough",
        "It was tested on one period",
        "python -m model_export promote",
    ):
        assert part in said, part
    model = facts.evaluation.rows[0]
    assert f"{model.ndcg.mean:.4f} [{model.ndcg.low:.4f}, {model.ndcg.high:.4f}]" in said
    for row in facts.evaluation.rows:
        assert row.method in said


def test_what_the_card_says_of_codes(facts: Facts) -> None:
    """Both figures, each with its epoch: that of the vectors is not that of the model."""
    told = msgspec.structs.replace(
        facts.checkpoint,
        architecture=msgspec.structs.replace(facts.checkpoint.architecture, codes=8),
        as_codes=Coded(5, 0.41, [Epoch(4, 2.6, 0.4), Epoch(5, 2.5, 0.41)]),
    )
    said = shown(card(replace(facts, checkpoint=told))["card.md"].decode())
    assert (
        "epoch 2 is the best on the validation part, with an NDCG@10 of 0.4300. Then each" in said
    )
    assert "vector became a code of 8 bytes, and the model learned on as such for 2 more" in said
    assert "epoch 5 is the best of these, with an NDCG@10 of 0.4100: this model is of it." in said


class Checked(HTMLParser):
    """Notes what a page asks for, and holds it to closing what it opens."""

    EMPTY = ("meta", "path", "line", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.asked += [value or "" for name, value in attributes if name in {"src", "href"}]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


def test_the_page_stands_alone(files: dict[str, str]) -> None:
    """No script, no style sheet, no picture from elsewhere; its drawings are in it."""
    parsed = Checked()
    parsed.feed(files["card.html"])
    assert parsed.open == []
    assert parsed.asked == []
    assert not parsed.seen & {"script", "link", "img", "iframe"}
    assert files["card.html"].count("<svg") == 4


def test_the_drawings_of_the_markdown_are_in_it(files: dict[str, str]) -> None:
    """Each is named where it stands and defined at the end, as an SVG of its own."""
    text = files["card.md"]
    named = re.findall(r"^!\[[^\]]+\]\[(\w+)\]$", text, re.MULTILINE)
    defined = dict(re.findall(r"^\[(\w+)\]: data:image/svg\+xml;base64,(\S+)$", text, re.MULTILINE))
    assert named == list(defined) == ["methods", "segments", "training", "learning"]
    for content in defined.values():
        assert ElementTree.fromstring(b64decode(content)).tag.endswith("svg")  # noqa: S314  # ours


def test_tables_of_the_markdown_are_tables(files: dict[str, str]) -> None:
    """Every row of a table has as many cells as its head."""
    rows = [line for line in files["card.md"].split("\n") if line[:2] == "| "]
    heads = [n for n, line in enumerate(rows[1:]) if set(line) <= set("|-: ")]
    for start, stop in zip(heads, [*heads[1:], len(rows)], strict=True):
        assert len({line.count("|") for line in rows[start:stop]}) == 1


def test_a_curve_that_was_not_measured(facts: Facts) -> None:
    """The card says so, and by which command it is; a curve of another model is none."""
    without = document(replace(facts, curve=None))
    assert "Not measured. `python -m model_export learning-curve DATA" in shown(markdown(without))
    assert facts.curve is not None
    other = msgspec.structs.replace(facts.curve, settings=msgspec.structs.replace(QUICK, seed=9))
    assert "of other data or settings" in shown(markdown(document(replace(facts, curve=other))))


def test_plan_reads_the_curve_that_the_card_shows(facts: Facts, tmp_path: Path) -> None:
    """The same file, and of each point the same NDCG."""
    assert facts.curve is not None
    planned = read_curve(learning_curve.save(facts.curve, tmp_path))
    assert planned.data == "hand.csv"
    assert [each.ndcg for each in planned.points] == [each.ndcg for each in facts.curve.points]
    assert learning_curve.load(tmp_path) == facts.curve


def repeat(score: float, *, first: bool = False) -> RepeatTable:
    own = numbers(np.array([0.0, 1.0])) if first else b""
    return RepeatTable(counts=(), recency_days=(), score=((score,),), first=own)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (repeat(MASKED), "What the shopper has bought comes after all else. Anything else gains"),
        (repeat(1.5), "What the shopper has bought gains what buying it again is worth"),
        (repeat(0.0), "times its vector. Anything else gains likeness"),
        (repeat(0.0, first=True), "0.5, and how often others buy it for the first time."),
    ],
)
def test_every_part_of_the_blend_is_named(facts: Facts, table: RepeatTable, says: str) -> None:
    """What was bought and what was not are told apart, and a part that adds nothing is none."""
    assert says in shown(markdown(document(replace(facts, repeat=table))))


def test_a_model_without_a_blend_adds_nothing(facts: Facts) -> None:
    """Its score is query times vector, and that is all that is said."""
    said = shown(markdown(document(replace(facts, blend=Blend()))))
    assert "A product's score is the encoder's query times its vector. Made with" in said


def test_products_that_few_have_touched_are_not_called_untouched(facts: Facts) -> None:
    """How many interactions are few says the setting."""
    few = msgspec.structs.replace(QUICK, least_interactions=5)
    told = msgspec.structs.replace(facts.checkpoint, settings=few)
    said = " ".join(limits(facts.data, told, facts.evaluation))
    assert said.count("training had fewer than 5 interactions with each") == 2
    assert "nobody turned to them" not in said


def test_limits_of_data_that_tells_little(facts: Facts) -> None:
    """Unknown groups and a split by position are limits, too."""
    ids = replace(facts.data.ids, groups=[None] * len(facts.data.ids.users))
    source = msgspec.structs.replace(facts.data.source, held_out_from=0, validation_from=0)
    bare = replace(facts.data, ids=ids, source=source)
    every = msgspec.structs.replace(facts.checkpoint, without_id=[])
    said = " ".join(limits(bare, every, facts.evaluation))
    assert "No demographic groups are known in the data" in said
    assert "It was tested on each user's last interaction" in said
    assert "All products that it ranks were learned from interactions" in said


def test_names_of_the_data_are_no_markup() -> None:
    """Whatever a group or a file is called, it is shown as it stands."""
    evil = "<script>alert(1)</script> | [x](y) *a* `b`\n# c"
    table = Table(("name", "n"), [(plain(evil), "1")])
    written = Document(plain(evil), "lead", [Section("s", [Paragraph(plain(evil)), table])])
    html = page(written)
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | [x](y) *a* &#x27;b&#x27; # c" in html
    text = markdown(written)
    assert "<script>" not in text.replace("\\<", "")
    assert text.count("\n# ") == 0
    assert r"&#124; \[x\](y) \*a\* 'b' # c" in text


def test_the_training_curve_marks_the_best_epoch() -> None:
    """Also where there was only one epoch."""
    assert "best: epoch 2" in training_svg([Epoch(1, 3.0, 0.3), Epoch(2, 2.5, 0.4)], 2)
    assert "best: epoch 1" in training_svg([Epoch(1, 3.0, 0.3)], 1)
