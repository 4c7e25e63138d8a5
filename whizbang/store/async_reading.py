"""Reads of the store as async iterators: a chunk at a time on the thread that Django's connections are on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import Concatenate, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

_CHUNK = 200

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")


def as_async_iterator(
    read: Callable[Concatenate[S, P], Iterator[T]],
) -> Callable[Concatenate[S, P], AsyncIterator[T]]:
    """The async twin of a method that gives an iterator."""

    async def aread(store: S, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        items = await sync_to_async(read)(store, *args, **kwargs)
        while chunk := await sync_to_async(_next_chunk)(items):
            for item in chunk:
                yield item

    aread.__name__ = f"a{read.__name__}"
    aread.__doc__ = f"See {read.__name__}()."
    return aread


def _next_chunk(items: Iterator[T]) -> list[T]:
    return list(islice(items, _CHUNK))
