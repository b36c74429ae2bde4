"""From CEL's checked syntax tree to operations on columns; what we do not compute is refused."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, Final

import re2
from cel.expr.checked_pb2 import CheckedExpr, Type
from cel.expr.syntax_pb2 import Expr

from services.recommendations.domain.filters.errors import BadExpression, Place
from services.recommendations.domain.filters.fields import (
    ATTRIBUTES,
    FIELDS,
    PRODUCT_FIELDS,
    SHOPPER_FIELDS,
    CodedField,
    attribute,
)
from services.recommendations.domain.filters.language import checked, place_of
from services.recommendations.domain.filters.nodes import (
    AND,
    OR,
    Apply,
    Choose,
    Constant,
    Has,
    ListOf,
    Logic,
    Matches,
    Node,
    Not,
    OfColumn,
    OfRow,
    OfShopper,
    Quantified,
    Variable,
    compiled_pattern,
)

NODE_LIMIT: Final = 200
DEPTH_LIMIT: Final = 20
PATTERN_LIMIT: Final = 200
"""Characters of a pattern."""

_PRIMITIVES: Final[Mapping[int, str]] = {
    Type.BOOL: "bool",
    Type.INT64: "int",
    Type.DOUBLE: "double",
    Type.STRING: "string",
}
_LITERALS: Final = ("bool_value", "int64_value", "double_value", "string_value")


def read(text: str) -> Node:
    """The operations that an expression means. Raises BadExpression."""
    tree = checked(text)
    root = _Reader(text, tree).node(tree.expr, 1)
    if root.kind != "bool":
        raise BadExpression(
            f"an expression must be true or false, and this is a {root.kind}", Place(1, 1)
        )
    return root


class _Reader:
    """One reading of one expression."""

    def __init__(self, text: str, tree: CheckedExpr) -> None:
        self._text = text
        self._tree = tree
        self._count = 0

    def node(self, expr: Expr, depth: int) -> Node:
        self._count += 1
        if self._count > NODE_LIMIT:
            raise self._refused(expr, f"an expression has at most {NODE_LIMIT} operations")
        if depth > DEPTH_LIMIT:
            raise self._refused(expr, f"an expression is at most {DEPTH_LIMIT} operations deep")
        match expr.WhichOneof("expr_kind"):
            case "const_expr":
                return self._literal(expr)
            case "ident_expr":
                return self._name(expr)
            case "select_expr":
                select = expr.select_expr
                return self._attribute(expr, select.operand, select.field, has=select.test_only)
            case "list_expr":
                return self._list(expr, depth)
            case "comprehension_expr":
                return self._quantified(expr, depth)
            case "call_expr":
                return self._call(expr, depth)
        raise self._refused(expr, "maps and messages cannot be written here")

    def _literal(self, expr: Expr) -> Node:
        kind = expr.const_expr.WhichOneof("constant_kind")
        if kind not in _LITERALS:
            raise self._refused(expr, "only true, false, numbers and texts can be written here")
        return Constant(**self._known(expr), value=getattr(expr.const_expr, kind))

    def _name(self, expr: Expr) -> Node:
        name = self._tree.reference_map[expr.id].name
        known = self._known(expr)
        if self._is_asked_by_has(expr):
            raise self._refused(expr, f"has() asks for names in {ATTRIBUTES} only")
        if name in SHOPPER_FIELDS:
            return OfShopper(**known, name=name, field=SHOPPER_FIELDS[name])
        if name in PRODUCT_FIELDS:
            field = PRODUCT_FIELDS[name]
            if isinstance(field, CodedField):
                return OfColumn(**known, name=name, field=field)
            return OfRow(**known, name=name, field=field)
        if name == ATTRIBUTES:
            raise self._refused(expr, f'{ATTRIBUTES} is asked for one name: {ATTRIBUTES}["size"]')
        return Variable(**known, name=name)

    def _is_asked_by_has(self, expr: Expr) -> bool:
        """Of a field the checker forgets ``has``, but for the place of its parenthesis."""
        offset = self._tree.source_info.positions[expr.id]
        return self._text[offset : offset + 1] == "(" and expr.ident_expr.name in FIELDS

    def _attribute(self, expr: Expr, of: Expr, name: str, *, has: bool) -> Node:
        if self._tree.reference_map[of.id].name != ATTRIBUTES:
            raise self._refused(expr, f"only {ATTRIBUTES} is asked for names")
        field = attribute(name)
        kind = Has if has else OfColumn
        return kind(**self._known(expr), name=field.source, field=field)

    def _list(self, expr: Expr, depth: int) -> Node:
        items = [self.node(each, depth + 1) for each in expr.list_expr.elements]
        for item in items:
            if not isinstance(item, Constant | OfShopper) or item.kind.startswith("list"):
                raise BadExpression("a list holds literals and fields of the shopper", item.place)
        if len({item.kind for item in items}) > 1:
            raise self._refused(expr, "the items of a list are of one type")
        return ListOf(**self._known(expr, "list"), of=tuple(items))

    def _quantified(self, expr: Expr, depth: int) -> Node:
        """``exists`` or ``all``, which CEL writes out as loops that join by ``||`` or ``&&``."""
        loop = expr.comprehension_expr
        items = self.node(loop.iter_range, depth + 1)
        body = self.node(loop.loop_step.call_expr.args[1], depth + 1)
        within = next((n for n in body.walk() if isinstance(n, OfRow | OfColumn)), None)
        if isinstance(items, OfColumn) and within is not None:
            raise BadExpression(
                f"what is asked of each item of {items.name} cannot ask the product", within.place
            )
        return Quantified(
            **self._known(expr),
            word=loop.loop_step.call_expr.function,
            variable=loop.iter_var,
            of=(items, body),
        )

    def _call(self, expr: Expr, depth: int) -> Node:
        call = expr.call_expr
        operands = [*([call.target] if call.HasField("target") else []), *call.args]
        (overload, *others) = self._tree.reference_map[expr.id].overload_id
        if others:
            raise self._refused(expr, "the types of what is joined here are not known")
        if overload == "in_map":
            return self._attribute(expr, operands[1], self._text_of(operands[0]), has=True)
        if overload == "index_map":
            return self._attribute(expr, operands[0], self._text_of(operands[1]), has=False)
        if overload in ("matches", "matches_string"):
            return self._matches(expr, operands[1], self.node(operands[0], depth + 1))
        parts = tuple(self.node(each, depth + 1) for each in operands)
        return self._joined(expr, overload, parts)

    def _joined(self, expr: Expr, overload: str, parts: tuple[Node, ...]) -> Node:
        known = self._known(expr)
        match overload:
            case "logical_not":
                return Not(**known, of=parts)
            case "conditional":
                if known["kind"] not in _PRIMITIVES.values():
                    raise self._refused(expr, "?: chooses between single values")
                return Choose(**known, of=parts)
            case "logical_and" | "logical_or":
                word = AND if overload == "logical_and" else OR
                same = (p.of if isinstance(p, Logic) and p.word == word else (p,) for p in parts)
                return Logic(**known, word=word, of=tuple(chain.from_iterable(same)))
        return Apply(**known, overload=overload, of=parts)

    def _matches(self, expr: Expr, pattern: Expr, text: Node) -> Node:
        told = self._text_of(pattern)
        if len(told) > PATTERN_LIMIT:
            raise self._refused(pattern, f"a pattern has at most {PATTERN_LIMIT} characters")
        try:
            regexp = compiled_pattern(told)
        except re2.error as error:
            (said,) = error.args
            raise self._refused(pattern, f"this is no pattern: {said.decode()}") from error
        return Matches(**self._known(expr), pattern=told, regexp=regexp, of=(text,))

    def _text_of(self, expr: Expr) -> str:
        """A text that must be a literal, as it is read before there are products."""
        self._count += 1
        if expr.const_expr.WhichOneof("constant_kind") != "string_value":
            raise self._refused(expr, "this must be a text between quotes")
        return expr.const_expr.string_value

    def _known(self, expr: Expr, kind: str | None = None) -> dict[str, Any]:
        """What each node is told."""
        return {"kind": kind or self._kind(expr), "place": self._place(expr)}

    def _kind(self, expr: Expr) -> str:
        type_ = self._tree.type_map[expr.id]
        if type_.WhichOneof("type_kind") == "list_type":
            return f"list({_PRIMITIVES.get(type_.list_type.elem_type.primitive, 'of many types')})"
        return _PRIMITIVES.get(type_.primitive, "value of another type")

    def _place(self, expr: Expr) -> Place:
        return place_of(self._text, self._tree.source_info.positions[expr.id])

    def _refused(self, expr: Expr, sentence: str) -> BadExpression:
        return BadExpression(sentence, self._place(expr))
