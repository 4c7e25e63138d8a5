"""Which part of a subscription's work a partition does: a range of slices, by stream or by key.

Frozen for ever, as the slices of streams are: a checkpoint counts for the keys of its slices.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol
from uuid import UUID

from whizbang.exceptions import WhizbangError
from whizbang.store.slices import SLICES

BY_STREAM, BY_KEY = "stream", "key"
_MOST_KEY_CHARACTERS = 255  # that a parked key's column holds


class Origin(Protocol):
    """Where an event stands: a stored row, its metadata, or what is left of one."""

    @property
    def stream(self) -> str: ...
    @property
    def position(self) -> int: ...


class KeyFilter(Protocol):
    """Which keys of which events are to be applied."""

    def takes(self, key: Any, event: Origin) -> bool: ...


@dataclass(frozen=True, slots=True, order=True)
class SliceRange:
    """Slices first <= slice < end of 0 to 1024. Raises ValueError for a range that is empty or outside."""

    first: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.end <= SLICES:
            raise ValueError(
                f"{self.first} to {self.end} is no range of slices: they go from 0 to {SLICES}."
            )

    def __str__(self) -> str:
        return f"{self.first}-{self.end}"

    @property
    def is_whole(self) -> bool:
        return self.end - self.first == SLICES

    def contains(self, slice: int) -> bool:
        return self.first <= slice < self.end

    def takes(self, key: Any, event: Origin) -> bool:
        """Does the key hash into the range? See `KeyFilter`."""
        return self.is_whole or self.contains(slice_of_key(key))

    def overlap(self, other: SliceRange) -> SliceRange | None:
        first, end = max(self.first, other.first), min(self.end, other.end)
        return SliceRange(first, end) if first < end else None

    def without(self, others: Iterable[SliceRange]) -> Iterator[SliceRange]:
        """What is left of it, in order, when the others are taken away."""
        at = self.first
        for other in sorted(others):
            if at < min(other.first, self.end):
                yield SliceRange(at, min(other.first, self.end))
            at = max(at, other.end)
        if at < self.end:
            yield SliceRange(at, self.end)


WHOLE = SliceRange(0, SLICES)


def even_ranges(count: int) -> list[SliceRange]:
    """All slices in so many ranges of about one size. Raises ValueError unless it is 1 to 1024."""
    if not 1 <= count <= SLICES:
        raise ValueError(f"{count} partitions: there can be 1 to {SLICES}.")
    bounds = [number * SLICES // count for number in range(count + 1)]
    return [SliceRange(first, end) for first, end in zip(bounds, bounds[1:], strict=False)]


def slice_of_key(key: Any) -> int:
    """CRC-32 of the key's text in UTF-8, modulo 1024. Raises WhizbangError as `text_of_key` does."""
    return zlib.crc32(text_of_key(key).encode()) & (SLICES - 1)


def name_of_key(key: Any) -> str:
    """The key's text where it fits a column, else its beginning with a hash of all of it."""
    text = text_of_key(key)
    if len(text) <= _MOST_KEY_CHARACTERS:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text[: _MOST_KEY_CHARACTERS - len(digest) - 1]}…{digest}"


def text_of_key(key: Any) -> str:
    """One text for all keys that are equal: "7", 7 and Decimal("7.0") mean one row.

    Raises WhizbangError for a key of a type that has no such text.
    """
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, int):
        return str(int(key))
    if isinstance(key, Decimal):
        return _text_of_number(key)
    if isinstance(key, float) and math.isfinite(key):
        return _text_of_number(Decimal(repr(key)))
    if isinstance(key, datetime):
        return (key.astimezone(UTC) if key.tzinfo else key).isoformat()
    if isinstance(key, date | time):
        return key.isoformat()
    if isinstance(key, UUID):
        return str(key)
    if isinstance(key, bytes | bytearray | memoryview):
        return bytes(key).hex()
    if isinstance(key, Enum):
        return text_of_key(key.value)
    raise WhizbangError(
        f"{key!r} of type {type(key).__name__} cannot tell its partition: let `by` give text, a number, a "
        "date, a UUID or bytes."
    )


def _text_of_number(number: Decimal) -> str:
    if not number.is_finite():
        return str(number)
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def lease_name(subscription: str, slices: SliceRange) -> str:
    """Of who runs a partition: the subscription's name where it has one partition only."""
    return subscription if slices.is_whole else f"{subscription}#{slices}"
