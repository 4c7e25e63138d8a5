"""Arrays in PostgreSQL's binary format, against what the server itself makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from whizbang.drivers.arrays import (
    BigIntegers,
    Instants,
    Integers,
    SmallIntegers,
    Texts,
    Uuids,
    marked,
)
from whizbang.drivers.execution import executor_of

pytestmark = [pytest.mark.requires_postgres, pytest.mark.django_db]

NOON = datetime(1997, 1, 2, 12, 0, 0, 7, tzinfo=UTC)
ODD = ["", "ä🙂", 'quote" \\ {,}', "NULL", "x" * 70_000]


@pytest.mark.parametrize(
    ("values", "element"),
    [
        (Texts(ODD), "text"),
        (Integers([0, -1, 2**31 - 1, -(2**31)]), "integer"),
        (BigIntegers([0, -1, 2**63 - 1, -(2**63)]), "bigint"),
        (SmallIntegers([0, -1, 2**15 - 1, -(2**15)]), "smallint"),
        (
            Instants(
                [NOON, NOON, datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 5, 6, tzinfo=UTC)]
            ),
            "timestamptz",
        ),
        (Uuids([UUID(int=0), UUID(int=2**128 - 1), UUID(int=7)]), "uuid"),
        (Uuids([None, UUID(int=1), None]), "uuid"),
        (Uuids([None]), "uuid"),
        (Uuids(), "uuid"),
        (Texts(), "text"),
        (Integers(), "integer"),
        (BigIntegers(), "bigint"),
        (SmallIntegers(), "smallint"),
        (Instants(), "timestamptz"),
    ],
)
def test_server_reads_what_was_sent(values: list[Any], element: str) -> None:
    sql = f"SELECT unnest(%b::{element}[])"
    found = executor_of(connection).execute(sql, [values]).fetchall()
    assert [value for (value,) in found] == list(values)


def test_other_time_zones_are_the_same_instant() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    sql = "SELECT unnest(%b::timestamptz[])"
    assert executor_of(connection).execute(sql, [Instants([there])]).fetchone()[0] == NOON


def test_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(Exception, match="argument|format requires|out of range"):
        executor_of(connection).execute("SELECT %b::smallint[]", [SmallIntegers([2**15])])


def test_watched_statements_take_them_too(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        found = (
            executor_of(connection).execute("SELECT unnest(%b::text[])", [Texts(ODD)]).fetchall()
        )
    assert [value for (value,) in found] == ODD


@pytest.mark.parametrize(
    ("element", "values", "mark"),
    [
        ("varchar", ODD, Texts),
        ("text", ["a", None], list),
        ("citext", ["a"], list),
        ("bigint", [2**63 - 1], BigIntegers),
        ("bigint", [2**63], list),
        ("integer", [1, True], list),
        ("smallint", [-(2**15)], SmallIntegers),
        ("smallint", [-(2**15) - 1], list),
        ("timestamp with time zone", [NOON], Instants),
        ("timestamp with time zone", [NOON.replace(tzinfo=None)], list),
        ("date", [NOON.date()], list),
        ("integer", [], list),
    ],
)
def test_only_what_fits_is_marked(element: str, values: list[Any], mark: type) -> None:
    found = marked(element, values)
    assert type(found) is mark
    assert list(found) == values
