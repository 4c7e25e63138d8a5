"""diator with the container of its own first example, the package `di`."""

from __future__ import annotations

from di import Container, bind_by_type
from di.dependent import Dependent
from diator.container.di import DIContainer
from diator.mediator import Mediator
from diator.requests import RequestMap

from benchmarks.peers.base import FIELDS, AsyncPeer
from benchmarks.peers.diator_peer import Nothing, NothingHandler


def make() -> AsyncPeer:
    requests = RequestMap()
    requests.bind(Nothing, NothingHandler)
    send = Mediator(request_map=requests, container=make_container()).send
    return AsyncPeer(name="diator, di container", send=send, message=Nothing(**FIELDS))


def make_container() -> DIContainer:
    inner = Container()
    inner.bind(bind_by_type(Dependent(NothingHandler, scope="request"), NothingHandler))
    container = DIContainer()
    container.attach_external_container(inner)
    return container
