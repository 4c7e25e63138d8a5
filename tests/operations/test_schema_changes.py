"""Each change of a message breaks whom it breaks, and nobody else."""

from __future__ import annotations

import enum
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta

from whizbang.exceptions import WhizbangError
from whizbang.operations.schema_changes import compare_schemas
from whizbang.operations.schemas import MessageSchema, SchemaDocument, describe_types

NAME = "shop.It"
Small = Annotated[int, Meta(ge=1, le=5)]


class Red(enum.Enum):
    RED = "red"


class RedOrBlue(enum.Enum):
    RED = "red"
    BLUE = "blue"


class A(msgspec.Struct, tag="a"):
    x: int


class B(msgspec.Struct, tag="b"):
    y: int


class Sku(msgspec.Struct):
    sku: str


class LongSku(msgspec.Struct):
    sku: Annotated[str, Meta(min_length=3)]


class SkuAndSize(msgspec.Struct):
    sku: str
    size: int = 0


class Tree(msgspec.Struct):
    children: list[Tree]
    label: str


class MaybeTree(msgspec.Struct):
    children: list[MaybeTree]
    label: str | None


class Pair(NamedTuple):
    left: int
    right: int = 0


def document(
    kind: Any,
    fields: list[Any],
    *,
    result: Any = None,
    name: str = NAME,
    version: int = 1,
    **more: Any,
) -> SchemaDocument:
    """One message of these fields, as a service would describe it."""
    cls = msgspec.defstruct("It", fields, kw_only=True, forbid_unknown_fields=kind != "event")
    (schema, answer), defs = describe_types([cls, result], [])
    message = MessageSchema(
        domain="shop", kind=kind, version=version, schema=schema, result=answer, **more
    )
    return SchemaDocument(service="shop", messages={name: message}, defs=defs)


def breaks(kind: str, before: list[Any], after: list[Any]) -> list[tuple[str, str]]:
    found = compare_schemas(document(kind, before), document(kind, after))
    return [(item.where, item.what) for item in found]


X = ("x", int)

# before, after, what breaks consumers of an event, what breaks senders of a command
FIELDS: list[tuple[list[Any], list[Any], str, str]] = [
    ([X], [X], "", ""),
    ([X], [X, ("y", int)], "", "y is new and required, and senders do not write it"),
    ([X], [X, ("y", int, 0)], "", ""),
    ([X, ("y", int)], [X], "y is gone, and was always there", "y is gone, and refused as unknown"),
    ([X, ("y", int, 0)], [X], "y is gone: readers see its default", "y is gone, and refused"),
    ([X], [("x", int, 0)], "x may be missing now, and was always there", ""),
    ([("x", int, 0)], [X], "", "x is required now, and senders may leave it out"),
]

# A type and one that takes more: an event must not widen it, a command must not narrow it.
WIDENINGS: list[tuple[Any, Any, str]] = [
    (int, int | None, "null"),
    (int, float, "number"),
    (int, Any, "anything"),
    (int, int | str, "string"),
    (date, str, "string"),
    (datetime, str, "string"),
    (Annotated[datetime, Meta(tz=True)], datetime, "any-date-time"),
    (UUID, str, "string"),
    (Decimal, str, "string"),
    (bytes, str, "string"),
    (Literal["a"], Literal["a", "b"], "'b'"),
    (Literal["a"], Literal["a", None], "null"),
    (Literal["a"], str, "string"),
    (Literal[1, 5], Small, "integer"),
    (Red, RedOrBlue, "'blue'"),
    (Small, int, "integer"),
    (Small, Annotated[int, Meta(ge=0, le=5)], "minimum 0"),
    (Annotated[float, Meta(gt=0)], Annotated[float, Meta(ge=0)], "minimum 0"),
    (Annotated[int, Meta(multiple_of=10)], Annotated[int, Meta(multiple_of=5)], "multipleOf 5"),
    (Annotated[str, Meta(max_length=5)], Annotated[str, Meta(max_length=9)], "maxLength 9"),
    (Annotated[str, Meta(min_length=1)], str, "string"),
    (Annotated[str, Meta(pattern="a")], str, "string"),
    (Annotated[list[int], Meta(max_length=5)], list[int], "array"),
    (list[int], list[int | None], "null"),
    (set[int], list[float], "number"),
    (dict[str, int], dict[str, float], "number"),
    (tuple[int, int], tuple[int, ...], "array"),
    (tuple[int, str], tuple[int, str | None], "null"),
    (A | B, A | B | None, "null"),
    (LongSku, Sku, "string"),
    (list[LongSku], list[Sku], "string"),
    (Tree, MaybeTree, "null"),
]

# Both directions are another type, or both are harmless.
UNLIKE: list[tuple[Any, Any]] = [
    (int, str),
    (date, UUID),
    (dict[str, int], Sku),
    (list[int], int),
    (Annotated[str, Meta(pattern="a")], Annotated[str, Meta(pattern="b")]),
]
ALIKE: list[tuple[Any, Any]] = [
    (Annotated[int, Meta(gt=0)], Annotated[int, Meta(ge=1)]),
    (Annotated[str, Meta(min_length=0)], str),
    (list[int], tuple[int, ...]),
    (list[int], set[int]),
    (int | None, None | int),
    (Tree, Tree),
    (Pair, Pair),
]


@pytest.mark.parametrize(("before", "after", "of_event", "of_command"), FIELDS)
def test_field_that_comes_or_goes(
    before: list[Any], after: list[Any], of_event: str, of_command: str
) -> None:
    for kind, expected in (("event", of_event), ("command", of_command), ("query", of_command)):
        found = breaks(kind, before, after)

        assert [" ".join(item).startswith(expected) for item in found] == [True] * bool(expected)


@pytest.mark.parametrize(("narrow", "wide", "says"), WIDENINGS)
def test_wider_type_breaks_consumers_and_narrower_one_senders(
    narrow: Any, wide: Any, says: str
) -> None:
    narrow_field, wide_field = [("it", narrow)], [("it", wide)]

    assert breaks("event", wide_field, narrow_field) == []
    assert breaks("command", narrow_field, wide_field) == []
    ((where, what),) = breaks("event", narrow_field, wide_field)
    assert where.startswith("it")
    assert says in what
    assert len(breaks("command", wide_field, narrow_field)) == 1


@pytest.mark.parametrize(("one", "other"), UNLIKE)
def test_another_type_breaks_everybody(one: Any, other: Any) -> None:
    for kind in ("event", "command"):
        assert breaks(kind, [("it", one)], [("it", other)])
        assert breaks(kind, [("it", other)], [("it", one)])


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_same_values_in_other_words_break_nobody(one: Any, other: Any) -> None:
    for kind in ("event", "command"):
        assert breaks(kind, [("it", one)], [("it", other)]) == []
        assert breaks(kind, [("it", other)], [("it", one)]) == []


def test_new_member_of_a_union_is_one_that_readers_do_not_know() -> None:
    ((where, what),) = breaks("event", [("it", A | B)], [("it", A | B | Tagged)])
    assert (where, "'c'" in what) == ("it.type", True)


class Tagged(msgspec.Struct, tag="c"):
    x: int


def test_place_of_a_change_is_told_through_lists_and_dicts() -> None:
    before, after = dict[str, list[LongSku]], dict[str, list[Sku]]

    ((where, what),) = breaks("event", [("lines", before)], [("lines", after)])

    assert where == "lines{}[].sku"
    assert what == "may be string now, and was string (minLength 3)"


def test_field_that_a_value_of_a_command_loses_is_lost_and_told() -> None:
    ((where, what),) = breaks("command", [("line", SkuAndSize)], [("line", Sku)])
    assert (where, what) == ("line.size", "is gone: what senders write there is lost")


def test_answer_is_written_by_us() -> None:
    before, after = (
        document("command", [X], result=int),
        document("command", [X], result=int | None),
    )

    (found,) = compare_schemas(before, after)

    assert str(found) == (
        "shop.It result may be null now, and was integer (breaks who waits for its answer)"
    )
    assert compare_schemas(after, before) == []


@pytest.mark.parametrize(
    ("kind", "whom"),
    [("event", "its consumers"), ("command", "its senders"), ("query", "who asks")],
)
def test_message_that_is_gone(kind: str, whom: str) -> None:
    (found,) = compare_schemas(document(kind, [X]), document(kind, [X], name="shop.Other"))
    assert found.what.startswith("is gone")
    assert found.whom.startswith(whom)


def test_command_under_an_alias_is_still_taken_and_an_event_is_not_known() -> None:
    def rename(kind: str) -> list[str]:
        renamed = document(kind, [X], name="shop.Other", aliases=[NAME])
        return [item.what for item in compare_schemas(document(kind, [X]), renamed)]

    assert rename("command") == []
    assert rename("event") == ["is called shop.Other now, which they do not know"]


def test_upcaster_does_not_help_consumers() -> None:
    before, after = document("event", [X]), document("event", [("y", int)], version=2)

    (found,) = compare_schemas(before, after)

    assert str(found) == "shop.It x is gone, and was always there (breaks its consumers)"


def test_message_of_another_kind() -> None:
    (found,) = compare_schemas(document("event", [X]), document("command", [X]))
    assert found.what == "is no event any more, but a command"


def test_other_domains_are_left_out() -> None:
    nothing = SchemaDocument(service="shop", messages={}, defs={})
    assert compare_schemas(document("event", [X]), nothing, domain="stock") == []


def test_reference_to_nothing_is_an_error() -> None:
    with pytest.raises(WhizbangError, match="refer to"):
        compare_schemas(
            msgspec.structs.replace(document("event", [X]), defs={}), document("event", [X])
        )
