"""Types that read and check the usual JSON of a message in one pass, made from its proto.

:func:`struct_of` turns a message's descriptor into a msgspec type with Protobuf's camelCase
names, no unknown fields, no nulls, and the limits that the proto states as ``buf.validate``
options. So limits stand in one place, the proto, and msgspec checks them in C while it reads.

The type is stricter than Protobuf's JSON mapping (https://protobuf.dev/programming-guides/json/)
and never looser: numbers as numbers, names as in the mapping, times and other well-known
types in the one form that the caller names. What it does not take may be valid all the same,
and needs Protobuf's own reader; what it takes is valid, but for rules about several fields
(CEL on the message, exactly one of a oneof) and for a name that stands twice, which the
caller must check. A rule that this module does not know raises TypeError when the type is
made: a limit is never dropped in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from msgspec import UNSET, Meta, UnsetType

INT32: Final = {"ge": -(2**31), "le": 2**31 - 1}

STRING: Final = {"min_len": "min_length", "max_len": "max_length", "pattern": "pattern"}
INTEGER: Final = {"gte": "ge", "lte": "le"}
REPEATED: Final = {"min_items": "min_length", "max_items": "max_length"}
MAP: Final = {"min_pairs": "min_length", "max_pairs": "max_length"}


class _Given(NamedTuple):
    """What the caller says."""

    known: Mapping[str, Any]
    seen_to: Mapping[str, str]


def struct_of(
    message: Descriptor, known: Mapping[str, Any], *, seen_to: Mapping[str, str] | None = None
) -> type[msgspec.Struct]:
    """The type of ``message``; ``known`` has types of messages by their full names.

    A field that must not be left out is required; another one is UNSET where it is, which
    tells it from one that was sent with its default. ``seen_to`` are the patterns that the
    caller checks, by the full names of their fields. Raises TypeError for what it cannot
    express, and where such a field has another pattern.
    """
    return _struct_of(message, _Given(known, seen_to or {}))


def _struct_of(message: Descriptor, given: _Given) -> type[msgspec.Struct]:
    fields = [_field(field, given) for field in message.fields]
    return msgspec.defstruct(
        message.name + "Json",
        sorted(fields, key=lambda field: len(field)),  # required ones first
        rename={field.name: field.json_name for field in message.fields},
        forbid_unknown_fields=True,
        gc=False,
    )


def _field(field: FieldDescriptor, given: _Given) -> tuple[str, Any] | tuple[Any, ...]:
    rules = field.GetOptions().Extensions[validate_pb2.field]
    required = rules.required
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        kind = _map(field, rules, given)
        required |= rules.map.min_pairs > 0
    elif field.is_repeated:
        kind = _repeated(field, rules, given)
        required |= rules.repeated.min_items > 0
    else:
        kind = _single(field, rules, given)
        if field.message_type is None and not field.has_presence:
            default = "" if field.type == FieldDescriptor.TYPE_STRING else 0
            whole = _single(field, rules, given._replace(seen_to={}))
            required |= _refuses_default(whole, default)
    return (field.name, kind) if required else (field.name, kind | UnsetType, UNSET)


def _refuses_default(kind: Any, default: str | int) -> bool:
    """Whether the value of a field that is left out breaks its limits: then it may not be."""
    try:
        msgspec.convert(default, kind)
    except msgspec.ValidationError:
        return True
    return False


def _map(field: FieldDescriptor, rules: Any, given: _Given) -> Any:
    entry: Any = field.message_type
    key = _single(entry.fields_by_name["key"], rules.map.keys, given)
    value = _single(entry.fields_by_name["value"], rules.map.values, given)
    return Annotated[dict[key, value], _meta(rules.map, MAP, also={"keys", "values"})]  # type: ignore[valid-type]  # made at run time


def _repeated(field: FieldDescriptor, rules: Any, given: _Given) -> Any:
    item = _single(field, rules.repeated.items, given)
    return Annotated[list[item], _meta(rules.repeated, REPEATED, also={"items"})]  # type: ignore[valid-type]  # made at run time


def _single(field: FieldDescriptor, rules: Any, given: _Given) -> Any:
    only(rules, {"required", "string", "int32", "map", "repeated"})
    if field.message_type is not None:
        made = given.known.get(field.message_type.full_name)
        return made if made is not None else _struct_of(field.message_type, given)
    if field.type == FieldDescriptor.TYPE_STRING:
        return Annotated[str, _meta(_unseen(field, rules.string, given), STRING)]
    if field.type == FieldDescriptor.TYPE_INT32:
        return Annotated[int, Meta(**{**INT32, **_limits(rules.int32, INTEGER)})]
    raise TypeError(f"{field.full_name}: fields of type {field.type} are not read here")


def _unseen(field: FieldDescriptor, rules: Any, given: _Given) -> Any:
    """The rules of a text, without the pattern that the caller sees to."""
    seen_to = given.seen_to.get(field.full_name)
    if seen_to is None:
        return rules
    if rules.pattern != seen_to:
        raise TypeError(f"{field.full_name} has the pattern {rules.pattern!r}, not {seen_to!r}")
    rest = type(rules)()
    rest.CopyFrom(rules)
    rest.ClearField("pattern")
    return rest


def _meta(rules: Message, names: Mapping[str, str], also: Set[str] = frozenset()) -> Meta:
    return Meta(**_limits(rules, names, also))


def _limits(
    rules: Message, names: Mapping[str, str], also: Set[str] = frozenset()
) -> dict[str, Any]:
    """The rules by msgspec's names."""
    only(rules, names.keys() | also)
    stated = {name: getattr(rules, name) for name in names if rules.HasField(name)}
    if pattern := stated.get("pattern"):
        stated["pattern"] = pattern_of(pattern)
    return {names[name]: value for name, value in stated.items()}


def pattern_of(pattern: str) -> str:
    """A pattern as Python reads it: ``$`` is the end of the text, as RE2 has it."""
    return pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern


def only(rules: Message, expressible: Set[str]) -> None:
    """Raise TypeError where ``rules`` state what the caller cannot express."""
    for field, _ in rules.ListFields():
        if field.name not in expressible:
            raise TypeError(f"the rule {rules.DESCRIPTOR.name}.{field.name} is not known here")
