"""mediatr: a function as handler, no behaviors, its synchronous `send`."""

from __future__ import annotations

from dataclasses import dataclass

from mediatr import Mediator

from benchmarks.peers.base import FIELDS, SyncPeer


@dataclass(frozen=True)
class Nothing:
    order_id: str
    quantity: int
    amount: str


def handle(request: Nothing) -> None:
    return None


# mediatr reads the request's type from the signature, and wants the class, not its name.
handle.__annotations__["request"] = Nothing


def make() -> SyncPeer:
    Mediator.register_handler(handle)
    return SyncPeer(name="mediatr", send=Mediator().send, message=Nothing(**FIELDS))
