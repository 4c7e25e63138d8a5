"""Formats that msgspec leaves out of a JSON Schema, without which a date and a text look alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import inspect

# JSON Schema's own `date-time` and `time` have a time zone. These are ours.
DATE_TIMES = {None: "any-date-time", False: "local-date-time"}
TIMES = {None: "any-time"}
_Pair = tuple[Any, dict[str, Any]]


def complete_formats(
    types: Sequence[inspect.Type], schemas: Sequence[dict[str, Any]], defs: Mapping[str, Any]
) -> None:
    """Add the formats of dates and times with any or no time zone, and put the defaults of sets in order."""
    waiting: list[_Pair] = list(zip(types, schemas, strict=True))
    seen: set[str] = set()
    while waiting:
        kind, schema = waiting.pop()
        while isinstance(kind, inspect.Metadata):
            kind = kind.type
        if name := schema.get("$ref", "").rpartition("/")[2]:
            if name in seen:
                continue
            seen.add(name)
            schema = defs[name]
        _complete(kind, schema)
        waiting.extend(_parts(kind, schema))


def _complete(kind: Any, schema: dict[str, Any]) -> None:
    if isinstance(kind, inspect.DateTimeType) and kind.tz in DATE_TIMES:
        schema.setdefault("format", DATE_TIMES[kind.tz])
    elif isinstance(kind, inspect.TimeType) and kind.tz in TIMES:
        schema.setdefault("format", TIMES[kind.tz])
    elif isinstance(kind, inspect.SetType | inspect.FrozenSetType) and "default" in schema:
        schema["default"] = sorted(schema["default"], key=repr)


def _parts(kind: Any, schema: dict[str, Any]) -> Iterator[_Pair]:
    """What a type consists of, each with the place of its schema."""
    if hasattr(kind, "fields"):
        yield from _fields(kind, schema)
    elif isinstance(kind, inspect.CollectionType):
        if "items" in schema:
            yield kind.item_type, schema["items"]
    elif isinstance(kind, inspect.TupleType):
        yield from zip(kind.item_types, schema.get("prefixItems", ()), strict=True)
    elif hasattr(kind, "value_type"):  # dicts, and the frozen ones of newer versions of msgspec
        if "additionalProperties" in schema:
            yield kind.value_type, schema["additionalProperties"]
    elif isinstance(kind, inspect.UnionType):
        yield from _members(kind, schema)


def _fields(kind: Any, schema: dict[str, Any]) -> Iterator[_Pair]:
    if "properties" in schema:
        for field in kind.fields:
            yield field.type, schema["properties"][field.encode_name]
        return
    items = schema.get("prefixItems", [])
    tags = len(items) - len(kind.fields)  # a struct that is written as an array begins with its tag
    yield from zip((field.type for field in kind.fields), items[tags:], strict=True)


def _members(kind: inspect.UnionType, schema: dict[str, Any]) -> Iterator[_Pair]:
    """All but None; msgspec puts structs behind the others, two of them into a choice of their own."""
    structs: list[Any] = []
    others: list[Any] = []
    for member in kind.types:
        inner: Any = member
        while isinstance(inner, inspect.Metadata):
            inner = inner.type
        if isinstance(inner, inspect.NoneType):
            continue
        is_struct = isinstance(inner, inspect.StructType) and not inner.array_like
        (structs if is_struct else others).append(inner)
    if len(structs) > 1:
        choice = schema
        if "discriminator" not in schema:
            choice = next(option for option in schema["anyOf"] if "discriminator" in option)
        yield from zip(structs, choice["anyOf"], strict=True)
    else:
        others += structs
    yield from zip(others, schema["anyOf"], strict=False)
