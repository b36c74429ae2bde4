"""Whether a parsed message is within the limits that its proto states, in a few steps.

:func:`check_of` turns a message's descriptor into a function that says yes where all limits
hold that ``buf.validate`` options state of its fields. protovalidate stays the authority: no
means that it must look, and say what is wrong. As with
:mod:`services.shared.proto_json`, a rule that is not known here raises TypeError when the
function is made, and rules about several fields are the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from services.shared.proto_json import only, pattern_of

Check = Callable[[Any], bool]

_LONGEST: Final = 2**31


def check_of(message: Descriptor, known: Mapping[str, Check | None]) -> Check:
    """Whether a message is within its limits.

    ``known`` has checks of messages by their full names; None where the caller sees to one.

    Members of a oneof are not looked at: which is set is for the caller to ask. Raises
    TypeError for a rule that it cannot express.
    """
    checks = [
        (field.name, check)
        for field in message.fields
        if field.containing_oneof is None or len(field.containing_oneof.fields) == 1  # "optional"
        if (check := _field(field, known)) is not None
    ]

    def is_within(read: Any) -> bool:
        for name, check in checks:  # noqa: SIM110 - a generator would double its time
            if not check(getattr(read, name)):
                return False
        return True

    optional = {field.name for field in message.fields if field.has_presence}
    if not any(name in optional for name, _ in checks):
        return is_within
    return lambda read: all(
        check(getattr(read, name))
        for name, check in checks
        if name not in optional or read.HasField(name)
    )


def _field(field: FieldDescriptor, known: Mapping[str, Check | None]) -> Check | None:
    rules = field.GetOptions().Extensions[validate_pb2.field]
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _map(field, rules, known)
    if not field.is_repeated:
        return _single(field, rules, known)
    only(rules.repeated, {"min_items", "max_items", "items"})
    low, high = rules.repeated.min_items, rules.repeated.max_items or _LONGEST
    item = _single(field, rules.repeated.items, known) or _any
    return lambda many: low <= len(many) <= high and all(map(item, many))


def _map(field: FieldDescriptor, rules: Any, known: Mapping[str, Check | None]) -> Check:
    only(rules.map, {"min_pairs", "max_pairs", "keys", "values"})
    entry: Any = field.message_type
    key = _single(entry.fields_by_name["key"], rules.map.keys, known) or _any
    value = _single(entry.fields_by_name["value"], rules.map.values, known) or _any
    low, high = rules.map.min_pairs, rules.map.max_pairs or _LONGEST
    return lambda pairs: (
        low <= len(pairs) <= high and all(key(k) and value(v) for k, v in pairs.items())
    )


def _single(field: FieldDescriptor, rules: Any, known: Mapping[str, Check | None]) -> Check | None:
    only(rules, {"required", "string", "int32", "map", "repeated"})
    if field.message_type is not None:
        name = field.message_type.full_name
        return known[name] if name in known else check_of(field.message_type, known)
    if rules.required:
        raise TypeError(f"{field.full_name}: required is known of messages only")
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(rules.string)
    if field.type == FieldDescriptor.TYPE_INT32:
        return _number(rules.int32)
    raise TypeError(f"{field.full_name}: fields of type {field.type} are not checked here")


def _text(rules: Any) -> Check | None:
    only(rules, {"min_len", "max_len", "pattern"})
    low, high = rules.min_len, rules.max_len or _LONGEST
    if not rules.pattern:
        return None if (low, high) == (0, _LONGEST) else lambda text: low <= len(text) <= high
    fits = re.compile(pattern_of(rules.pattern)).search
    return lambda text: low <= len(text) <= high and fits(text) is not None


def _number(rules: Any) -> Check | None:
    only(rules, {"gte", "lte"})
    low = rules.gte if rules.HasField("gte") else -_LONGEST
    high = rules.lte if rules.HasField("lte") else _LONGEST
    return lambda number: low <= number <= high


def _any(_: Any) -> bool:
    return True
