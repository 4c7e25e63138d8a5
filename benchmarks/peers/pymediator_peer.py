"""pymediator: a handler class without dependencies, in an instance registry."""

from __future__ import annotations

from dataclasses import dataclass

from pymediator import InstanceRegistry, Mediator

from benchmarks.peers.base import FIELDS, SyncPeer


@dataclass(frozen=True)
class Nothing:
    order_id: str
    quantity: int
    amount: str


class NothingHandler:
    def handle(self, request: Nothing) -> None:
        return None


def make() -> SyncPeer:
    registry = InstanceRegistry()
    registry.register(Nothing, NothingHandler)
    send = Mediator(registry=registry).send
    return SyncPeer(name="pymediator", send=send, message=Nothing(**FIELDS))
