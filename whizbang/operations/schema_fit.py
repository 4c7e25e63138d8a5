"""Does all that is written by one JSON Schema fit what is read by another, and where not?

Knows the part of JSON Schema that `msgspec.json.schema_components` writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from whizbang.exceptions import WhizbangError
from whizbang.operations.schema_bounds import has_wider_bounds

Schema = dict[str, Any]
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
_BOUNDS = ("inimum", "aximum", "multipleOf", "minL", "maxL", "minI", "maxI", "minP", "maxP", "patt")
_NARROWER_FORMATS = {  # what is written by the one may be read as the other
    ("date-time", "any-date-time"),
    ("local-date-time", "any-date-time"),
    ("time", "any-time"),
    ("partial-time", "any-time"),
}


class Kind(StrEnum):
    """What is wrong between the writer and the reader of a value."""

    MISSING = "missing"  # the reader needs a field that the writer does not know
    MAY_BE_MISSING = "may be missing"  # the reader needs a field that the writer may leave out
    UNWRITTEN = "unwritten"  # the reader knows a field that the writer does not; it gets a default
    REFUSED = "refused"  # the writer has a field that the reader does not know, and refuses
    IGNORED = "ignored"  # the writer has a field that the reader does not know, and drops
    NULL = "null"  # the writer may write null
    TYPE = "type"
    VALUES = "values"  # the writer has choices that the reader does not know
    BOUNDS = "bounds"


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing that does not fit; `written` and `read` describe both sides."""

    kind: Kind
    where: str  # such as lines[].sku; empty for the payload itself
    written: str
    read: str


class Fitting:
    """Compares what is written with what is read, each with the `$defs` of its document."""

    def __init__(
        self,
        *,
        written_defs: Mapping[str, Schema],
        read_defs: Mapping[str, Schema],
        kinds: Collection[Kind],
    ) -> None:
        """`kinds`: the misfits that matter."""
        self._written_defs, self._read_defs, self._kinds = written_defs, read_defs, kinds
        self._open: set[tuple[str, str]] = set()

    def misfits(self, written: Schema, read: Schema, where: str = "") -> list[Misfit]:
        """What of `written` does not fit into `read`. Raises `WhizbangError` for a reference to nothing."""
        pair = (written.get("$ref", ""), read.get("$ref", ""))
        if pair in self._open:
            return []  # a type that contains itself: it is being compared already
        if all(pair):
            self._open.add(pair)
        try:
            found: dict[Misfit, None] = {}
            readers = list(_choices(read, self._read_defs))
            for choice in _choices(written, self._written_defs):
                found.update(dict.fromkeys(self._fit_choice(choice, readers, where)))
            return list(found)
        finally:
            self._open.discard(pair)

    def _fit_choice(self, written: Schema, readers: list[Schema], where: str) -> list[Misfit]:
        """Against the reader's choice that fits best."""
        if any(_type_of(reader) is None for reader in readers):
            return []  # it takes anything
        alike = [reader for reader in readers if _is_readable_as(written, reader)]
        if not alike:
            kind = Kind.NULL if _type_of(written) == "null" else Kind.TYPE
            return self._note(kind, where, written, *readers)
        return min((self._fit_alike(written, reader, where) for reader in alike), key=len)

    def _fit_alike(self, written: Schema, read: Schema, where: str) -> list[Misfit]:
        found = self._fit_values(written, read, where)
        if has_wider_bounds(written, read):
            found += self._note(Kind.BOUNDS, where, written, read)
        if _type_of(written) == "object":
            found += self._fit_objects(written, read, where)
        elif _type_of(written) == "array":
            found += self._fit_arrays(written, read, where)
        return found

    def _fit_values(self, written: Schema, read: Schema, where: str) -> list[Misfit]:
        if "enum" not in read:
            return []
        if "enum" not in written:
            return self._note(Kind.TYPE, where, written, read)
        unknown = [value for value in written["enum"] if value not in read["enum"]]
        return self._note(Kind.VALUES, where, {"enum": unknown}, read) if unknown else []

    def _fit_objects(self, written: Schema, read: Schema, where: str) -> list[Misfit]:
        if ("properties" in written) != ("properties" in read):
            return self._note(Kind.TYPE, where, written, read)
        if "properties" not in written:
            return self._fit_dicts(written, read, where)
        found: list[Misfit] = []
        for name, schema in written["properties"].items():
            place = _field(where, name)
            if name in read["properties"]:
                found += self.misfits(schema, read["properties"][name], place)
            else:
                is_refused = read.get("additionalProperties") is False
                found += self._note(Kind.REFUSED if is_refused else Kind.IGNORED, place, schema)
        return found + self._fit_needs(written, read, where)

    def _fit_needs(self, written: Schema, read: Schema, where: str) -> list[Misfit]:
        """What the reader wants of an object, and the writer may not have."""
        found: list[Misfit] = []
        for name, schema in read["properties"].items():
            is_needed = name in read.get("required", ())
            if name not in written["properties"]:
                kind = Kind.MISSING if is_needed else Kind.UNWRITTEN
                found += self._note(kind, _field(where, name), {}, schema)
            elif is_needed and name not in written.get("required", ()):
                found += self._note(Kind.MAY_BE_MISSING, _field(where, name), {}, schema)
        return found

    def _fit_dicts(self, written: Schema, read: Schema, where: str) -> list[Misfit]:
        values = written.get("additionalProperties", {}), read.get("additionalProperties", {})
        found = self.misfits(values[0], values[1], f"{where}{{}}")
        keys = [{"type": "string", **side.get("propertyNames", {})} for side in (written, read)]
        return found + self.misfits(keys[0], keys[1], f"{where}{{key}}")

    def _fit_arrays(self, written: Schema, read: Schema, where: str) -> list[Misfit]:
        found: list[Misfit] = []
        fixed = max(len(side.get("prefixItems", ())) for side in (written, read))
        for index in range(min(fixed, written.get("maxItems", fixed))):
            items = _item(written, index), _item(read, index)
            if False not in items:  # where one ends, the bounds tell
                found += self.misfits(*items, f"{where}[{index}]")
        rest = written.get("items", {}), read.get("items", {})
        if False not in rest:
            found += self.misfits(*rest, f"{where}[]")
        return found

    def _note(self, kind: Kind, where: str, written: Schema, *read: Schema) -> list[Misfit]:
        if kind not in self._kinds:
            return []
        return [Misfit(kind, where, describe(written), " or ".join(map(describe, read)))]


def describe(schema: Schema) -> str:
    """A schema in a few words: type, format, choices, bounds."""
    if "enum" in schema:
        return ", ".join(map(repr, schema["enum"]))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(map(describe, schema["anyOf"]))
    name = schema.get("title") or schema.get("type", "anything")
    more = [schema[key] for key in ("format", "contentEncoding") if key in schema]
    more += [f"{key} {value}" for key, value in schema.items() if _is_bound(key)]
    return f"{name} ({', '.join(map(str, more))})" if more else str(name)


def _is_bound(key: str) -> bool:
    return any(part in key for part in _BOUNDS)


def _choices(schema: Schema, defs: Mapping[str, Schema]) -> Iterator[Schema]:
    """The alternatives of a schema, references followed; choices of several types apart."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in defs:
            raise WhizbangError(f"The schemas refer to {schema['$ref']!r}, which they do not have.")
        yield from _choices(defs[name], defs)
    elif "anyOf" in schema:
        for choice in schema["anyOf"]:
            yield from _choices(choice, defs)
    elif "enum" in schema:
        for name in dict.fromkeys(_TYPES[type(value)] for value in schema["enum"]):
            values = [value for value in schema["enum"] if _TYPES[type(value)] == name]
            yield {**schema, "type": name, "enum": values}
    else:
        yield schema


def _type_of(schema: Schema) -> str | None:
    """Its one type; None where anything goes."""
    found: str | None = schema.get("type")
    return found


def _is_readable_as(written: Schema, read: Schema) -> bool:
    types = _type_of(written), _type_of(read)
    if types[0] != types[1] and types != ("integer", "number"):
        return False
    formats = written.get("format"), read.get("format")
    if formats[1] not in (None, formats[0]) and formats not in _NARROWER_FORMATS:
        return False
    return read.get("contentEncoding") in (None, written.get("contentEncoding"))


def _field(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _item(schema: Schema, index: int) -> Any:
    fixed = schema.get("prefixItems", ())
    return fixed[index] if index < len(fixed) else schema.get("items", {})
