"""python-cqrs: a `RequestMediator` without the logging middleware that its bootstrap adds."""

from __future__ import annotations

from dataclasses import dataclass

from cqrs import RequestMediator
from cqrs.handlers.request import RequestHandler
from cqrs.mapping.requests import RequestMap
from cqrs.models.request import DCRequest

from benchmarks.peers.base import FIELDS, AsyncPeer
from benchmarks.peers.container import PlainContainer


@dataclass
class Nothing(DCRequest):
    order_id: str
    quantity: int
    amount: str


class NothingHandler(RequestHandler[Nothing, None]):
    async def handle(self, request: Nothing) -> None:
        return None


def make() -> AsyncPeer:
    requests = RequestMap()
    requests.bind(Nothing, NothingHandler)
    send = RequestMediator(request_map=requests, container=PlainContainer()).send
    return AsyncPeer(name="python-cqrs", send=send, message=Nothing(**FIELDS))
