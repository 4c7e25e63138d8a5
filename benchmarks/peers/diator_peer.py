"""diator: no middleware, no event emitter, a container that only makes the handler."""

from __future__ import annotations

from dataclasses import dataclass

from diator.events import Event
from diator.mediator import Mediator
from diator.requests import Request, RequestHandler, RequestMap

from benchmarks.peers.base import FIELDS, AsyncPeer
from benchmarks.peers.container import PlainContainer


@dataclass(frozen=True, kw_only=True)
class Nothing(Request):
    order_id: str
    quantity: int
    amount: str


class NothingHandler(RequestHandler[Nothing, None]):
    def __init__(self) -> None:
        self._events: list[Event] = []

    @property
    def events(self) -> list[Event]:
        return self._events

    async def handle(self, request: Nothing) -> None:
        return None


def make() -> AsyncPeer:
    requests = RequestMap()
    requests.bind(Nothing, NothingHandler)
    send = Mediator(request_map=requests, container=PlainContainer()).send
    return AsyncPeer(name="diator", send=send, message=Nothing(**FIELDS))
