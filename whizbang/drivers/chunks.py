"""Rows in pieces that one statement can carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def chunks_of(
    items: Iterable[T], *, size_of: Callable[[T], int], most: int, most_bytes: int
) -> Iterator[list[T]]:
    """Lists of at most `most` items and `most_bytes` bytes; one item that is bigger goes alone."""
    chunk: list[T] = []
    size = 0
    for item in items:
        needed = size_of(item)
        if chunk and (len(chunk) == most or size + needed > most_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += needed
    if chunk:
        yield chunk
