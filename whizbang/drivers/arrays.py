"""Arrays for PostgreSQL in its binary format, made by a tenth of the calls that psycopg's own take.

The format is array_recv's of the server's source: dimensions, a flag for NULLs, the element type, then each
element with its length. Marked lists travel so where the statement says %b; where somebody else runs
the statement, as Django's cursor does for who watches queries, they are plain lists.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any, ClassVar
from uuid import UUID

from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEADER = Struct("!iiIii").pack  # dimensions, has NULLs, element type, length, first index
_EMPTY_HEADER = Struct("!iiI").pack
_LENGTH = Struct("!i").pack
_NULL, _SIXTEEN = _LENGTH(-1), _LENGTH(16)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Texts(list[str]):
    """For a text[]."""


class BigIntegers(list[int]):
    """For a bigint[]."""


class Integers(list[int]):
    """For an integer[]."""


class SmallIntegers(list[int]):
    """For a smallint[]."""


class Instants(list[datetime]):
    """For a timestamptz[]; aware datetimes."""


class Uuids(list[UUID | None]):
    """For a uuid[], also with NULLs in it."""


class _ArrayDumper(Dumper):
    format = Format.BINARY
    element_oid: ClassVar[int]

    def dump(self, obj: Any) -> bytes:
        if not obj:
            return _EMPTY_HEADER(0, 0, self.element_oid)
        header = _HEADER(1, self._has_nulls(obj), self.element_oid, len(obj), 1)
        return header + b"".join(self._elements(obj))

    def _has_nulls(self, values: Any) -> bool:
        return False

    @abstractmethod
    def _elements(self, values: Any) -> Iterable[bytes]:
        """Each element with its length before it, in one piece."""


class _TextsDumper(_ArrayDumper):
    oid, element_oid = 1009, 25

    def _elements(self, values: Texts) -> Iterable[bytes]:
        last, element = None, b""
        for value in values:
            if value is not last:  # events of one stream share its name
                data = value.encode()
                last, element = value, _LENGTH(len(data)) + data
            yield element


class _IntegersDumper(_ArrayDumper):
    oid, element_oid = 1007, 23
    _element = Struct("!ii").pack

    def _elements(self, values: Integers) -> Iterable[bytes]:
        return [self._element(4, value) for value in values]


class _BigIntegersDumper(_ArrayDumper):
    oid, element_oid = 1016, 20
    _element = Struct("!iq").pack

    def _elements(self, values: BigIntegers) -> Iterable[bytes]:
        return [self._element(8, value) for value in values]


class _SmallIntegersDumper(_ArrayDumper):
    oid, element_oid = 1005, 21
    _element = Struct("!ih").pack

    def _elements(self, values: SmallIntegers) -> Iterable[bytes]:
        return [self._element(2, value) for value in values]


class _InstantsDumper(_ArrayDumper):
    oid, element_oid = 1185, 1184
    _element = Struct("!iq").pack

    def _elements(self, values: Instants) -> Iterable[bytes]:
        last, element = None, b""
        for value in values:
            if value is not last:  # events of one append share theirs
                last, element = value, self._element(8, (value - _EPOCH) // _MICROSECOND)
            yield element


class _UuidsDumper(_ArrayDumper):
    oid, element_oid = 2951, 2950

    def _has_nulls(self, values: Uuids) -> bool:
        return None in values

    def _elements(self, values: Uuids) -> Iterable[bytes]:
        return [
            _NULL if value is None else _SIXTEEN + value.int.to_bytes(16, "big") for value in values
        ]


_DUMPERS: dict[type, type[Dumper]] = {
    Texts: _TextsDumper,
    BigIntegers: _BigIntegersDumper,
    Integers: _IntegersDumper,
    SmallIntegers: _SmallIntegersDumper,
    Instants: _InstantsDumper,
    Uuids: _UuidsDumper,
}


def register_arrays(context: AdaptContext) -> None:
    """Let a cursor send marked lists in the binary format."""
    for cls, dumper in _DUMPERS.items():
        context.adapters.register_dumper(cls, dumper)


def marked(element_type: str, values: list[Any]) -> list[Any]:
    """The values as the marked list that an array of this type can be sent as; else they themselves.

    `element_type` is PostgreSQL's name without a length. What does not fit is left for psycopg and the
    server, whose errors say why.
    """
    types = set(map(type, values))
    if types == {str} and element_type in _TEXT_TYPES:
        return Texts(values)
    if types == {int} and element_type in _INTEGER_TYPES:
        mark, bits = _INTEGER_TYPES[element_type]
        fits = -(1 << bits) <= min(values) and max(values) < 1 << bits
        return mark(values) if fits else values
    if types == {datetime} and element_type == "timestamp with time zone":
        return Instants(values) if all(value.tzinfo for value in values) else values
    if element_type == "uuid" and types <= _UUID_TYPES:
        return Uuids(values)
    return values


_UUID_TYPES = frozenset({UUID, type(None)})
_TEXT_TYPES = frozenset({"text", "varchar"})
_INTEGER_TYPES: dict[str, tuple[type[list[int]], int]] = {
    "smallint": (SmallIntegers, 15),
    "integer": (Integers, 31),
    "bigint": (BigIntegers, 63),
}
