"""python-cqrs as its documentation sets it up: `bootstrap` with a container of the package `di`.

That adds its logging middleware, which logs at a level that is switched off here.
"""

from __future__ import annotations

from cqrs.bootstrap.requests import bootstrap
from cqrs.mapping.requests import RequestMap
from di import Container

from benchmarks.peers.base import FIELDS, AsyncPeer
from benchmarks.peers.cqrs_peer import Nothing, NothingHandler


def bind(requests: RequestMap) -> None:
    requests.bind(Nothing, NothingHandler)


def make() -> AsyncPeer:
    send = bootstrap(di_container=Container(), commands_mapper=bind).send
    return AsyncPeer(name="python-cqrs, bootstrap", send=send, message=Nothing(**FIELDS))
