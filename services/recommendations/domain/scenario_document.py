"""A shop's scenarios from the YAML that its operators write; whatever is wrong is told by place."""

from __future__ import annotations

from collections.abc import Iterator

from services.recommendations.domain.filters.errors import BadExpression
from services.recommendations.domain.filters.expression import compile_expression
from services.recommendations.domain.scenario import Scenarios
from services.shared.yaml_document import MISTAKES, BadDocument, Document, Mistake


def read_scenarios(text: str) -> Scenarios:
    """The scenarios, of which nothing is wrong: all names are there, all conditions can be read.

    Raises BadDocument with every mistake, in the order of their places; those of names and
    conditions only where the document's form has none.
    """
    document = Document(text)
    scenarios = document.read(Scenarios)
    mistakes = [document.mistake(path, message) for path, message in scenarios.wrong()]
    mistakes += _unreadable(document, scenarios)
    if mistakes:
        raise BadDocument(sorted(mistakes)[:MISTAKES])
    return scenarios


def _unreadable(document: Document, scenarios: Scenarios) -> Iterator[Mistake]:
    for name, scenario in scenarios.scenarios.items():
        for path, condition in scenario.conditions():
            try:
                compile_expression(condition)
            except BadExpression as error:
                yield document.mistake_within(
                    ("scenarios", name, *path), error.line, error.column, error.sentence
                )
