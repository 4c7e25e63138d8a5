"""The smallest container that the asynchronous peers accept: it makes the handler, nothing more.

A real dependency injection container would cost them more.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


class PlainContainer:
    @property
    def external_container(self) -> PlainContainer:
        return self

    def attach_external_container(self, container: object) -> None:
        raise NotImplementedError("PlainContainer stands alone: there is nothing to attach to it.")

    async def resolve(self, type_: type[T]) -> T:
        return type_()
