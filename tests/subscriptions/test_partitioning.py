"""Slices of keys, and ranges of slices: what a checkpoint counts for must never mean something else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest

from whizbang.exceptions import WhizbangError
from whizbang.store.slices import slice_of
from whizbang.subscriptions.partitioning import (
    WHOLE,
    SliceRange,
    even_ranges,
    lease_name,
    name_of_key,
    slice_of_key,
    text_of_key,
)


class Color(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("key", "text", "slice"),
    [
        ("", "", 0),
        ("7", "7", 642),
        (7, "7", 642),
        (True, "1", 951),
        ("Zürich", "Zürich", 318),
        (-12, "-12", 659),
        (Decimal("7.00"), "7", 642),
        (7.0, "7", 642),
        (Decimal("1E+2"), "100", 234),
        (Decimal("-0.50"), "-0.5", 96),
        (Decimal("-0"), "0", 801),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001", 543),
        (date(1997, 1, 2), "1997-01-02", 793),
        (datetime(1997, 1, 2, 12, tzinfo=UTC), "1997-01-02T12:00:00+00:00", 808),
        (b"\x00\xff", "00ff", 609),
        (Color.RED, "red", 911),
    ],
)
def test_slices_of_keys_are_frozen(key: Any, text: str, slice: int) -> None:
    assert (text_of_key(key), slice_of_key(key)) == (text, slice)


def test_text_hashes_as_streams_do() -> None:
    assert slice_of_key("shop.Order-1") == slice_of("shop.Order-1")


def test_one_instant_is_one_key() -> None:
    here = datetime(1997, 1, 2, 14, tzinfo=timezone(timedelta(hours=2)))
    assert text_of_key(here) == text_of_key(here.astimezone(UTC))


@pytest.mark.parametrize("key", [None, object(), float("nan"), ("a", "b")])
def test_key_without_a_text_is_refused(key: Any) -> None:
    with pytest.raises(WhizbangError, match="cannot tell its partition"):
        slice_of_key(key)


def test_long_keys_are_told_apart_by_names_that_fit() -> None:
    one, other = name_of_key("x" * 300), name_of_key("x" * 301)
    assert len(one) == len(other) == 255 and one != other
    assert name_of_key("x" * 255) == "x" * 255


@pytest.mark.parametrize("bounds", [(-1, 5), (5, 5), (6, 5), (0, 1025)])
def test_range_is_within_the_slices(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no range of slices"):
        SliceRange(*bounds)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 1024])
def test_even_ranges_cover_each_slice_once(count: int) -> None:
    ranges = even_ranges(count)
    assert len(ranges) == count
    assert [r.first for r in ranges] == [0, *(r.end for r in ranges[:-1])] and ranges[
        -1
    ].end == 1024
    sizes = {r.end - r.first for r in ranges}
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("count", [0, -1, 1025])
def test_count_has_bounds(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 1024"):
        even_ranges(count)


@pytest.mark.parametrize(
    ("others", "left"),
    [
        ([], ["0-100"]),
        ([(0, 100)], []),
        ([(0, 1024)], []),
        ([(10, 20)], ["0-10", "20-100"]),
        ([(50, 200), (0, 10)], ["10-50"]),
        ([(0, 60), (40, 100)], []),
        ([(200, 300)], ["0-100"]),
    ],
)
def test_what_is_left_of_a_range(others: list[tuple[int, int]], left: list[str]) -> None:
    found = SliceRange(0, 100).without([SliceRange(*other) for other in others])
    assert [str(part) for part in found] == left


def test_leases_tell_parts_from_the_whole() -> None:
    assert lease_name("shop.Orders", WHOLE) == "shop.Orders"
    assert lease_name("shop.Orders", SliceRange(0, 512)) == "shop.Orders#0-512"
