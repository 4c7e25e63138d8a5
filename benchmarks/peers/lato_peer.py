"""lato: an application without middleware and dependencies, its synchronous `execute`."""

from __future__ import annotations

from lato import Application, Command

from benchmarks.peers.base import FIELDS, SyncPeer


class Nothing(Command):
    order_id: str
    quantity: int
    amount: str


def handle(command: Nothing) -> None:
    return None


# lato passes arguments by their annotated type, and wants the class, not its name.
handle.__annotations__["command"] = Nothing


def make() -> SyncPeer:
    application = Application("benchmark")
    application.handler(Nothing)(handle)
    return SyncPeer(name="lato", send=application.execute, message=Nothing(**FIELDS))
