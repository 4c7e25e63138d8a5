"""Event sourcing, CQRS, sagas and reliable messaging for Django.

The public names, imported when first used, so that `import whizbang` works before Django is set up.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whizbang.domain.aggregate import Aggregate as Aggregate
    from whizbang.domain.aggregate import applies as applies
    from whizbang.domain.context import Context as Context
    from whizbang.drivers.stores.base import ANY as ANY
    from whizbang.drivers.stores.base import NO_STREAM as NO_STREAM
    from whizbang.drivers.stores.base import STREAM_EXISTS as STREAM_EXISTS
    from whizbang.exceptions import AggregateNotFound as AggregateNotFound
    from whizbang.exceptions import BrokenEntry as BrokenEntry
    from whizbang.exceptions import CommandFailed as CommandFailed
    from whizbang.exceptions import ConcurrencyError as ConcurrencyError
    from whizbang.exceptions import DecodeError as DecodeError
    from whizbang.exceptions import HandlerNotFound as HandlerNotFound
    from whizbang.exceptions import InvalidMessage as InvalidMessage
    from whizbang.exceptions import MessageIdReused as MessageIdReused
    from whizbang.exceptions import MessageRejected as MessageRejected
    from whizbang.exceptions import NotAuthorized as NotAuthorized
    from whizbang.exceptions import NotReady as NotReady
    from whizbang.exceptions import OwnershipError as OwnershipError
    from whizbang.exceptions import Rejected as Rejected
    from whizbang.exceptions import RemoteQuery as RemoteQuery
    from whizbang.exceptions import ResultTooLarge as ResultTooLarge
    from whizbang.exceptions import SinkUnavailable as SinkUnavailable
    from whizbang.exceptions import StaleCache as StaleCache
    from whizbang.exceptions import UnknownMessageType as UnknownMessageType
    from whizbang.exceptions import WaitTimeout as WaitTimeout
    from whizbang.exceptions import WhizbangError as WhizbangError
    from whizbang.exceptions import WrongMode as WrongMode
    from whizbang.messages.base import Command as Command
    from whizbang.messages.base import Constraint as Constraint
    from whizbang.messages.base import Event as Event
    from whizbang.messages.base import Query as Query
    from whizbang.messages.base import Value as Value
    from whizbang.messages.becoming import retire as retire
    from whizbang.messages.declare import named as named
    from whizbang.messages.declare import owned_by as owned_by
    from whizbang.messages.declare import requires as requires
    from whizbang.messages.declare import upcasts as upcasts
    from whizbang.messages.envelope import Envelope as Envelope
    from whizbang.messages.envelope import envelope as envelope
    from whizbang.messages.metadata import Metadata as Metadata
    from whizbang.messages.personal import PERSONAL as PERSONAL
    from whizbang.messaging.batches import BatchReceipt as BatchReceipt
    from whizbang.messaging.receipts import Receipt as Receipt
    from whizbang.projections.cached.projection import CachedProjection as CachedProjection
    from whizbang.projections.declaration import BEGINNING as BEGINNING
    from whizbang.projections.declaration import DELETE as DELETE
    from whizbang.projections.declaration import LIVE as LIVE
    from whizbang.projections.declaration import on as on
    from whizbang.projections.external import ExternalProjection as ExternalProjection
    from whizbang.projections.free import Projection as Projection
    from whizbang.projections.model import ModelProjection as ModelProjection
    from whizbang.routing.registry import handles as handles
    from whizbang.routing.registry import subscribes as subscribes
    from whizbang.routing.retry import Retry as Retry
    from whizbang.routing.verbs import adispatch as adispatch
    from whizbang.routing.verbs import apublish as apublish
    from whizbang.routing.verbs import apublish_batch as apublish_batch
    from whizbang.routing.verbs import aquery as aquery
    from whizbang.routing.verbs import asend as asend
    from whizbang.routing.verbs import dispatch as dispatch
    from whizbang.routing.verbs import publish as publish
    from whizbang.routing.verbs import publish_batch as publish_batch
    from whizbang.routing.verbs import query as query
    from whizbang.routing.verbs import send as send
    from whizbang.sagas.saga import Saga as Saga
    from whizbang.sagas.saga import on_timeout as on_timeout
    from whizbang.sagas.saga import starts_on as starts_on
    from whizbang.store.event_store import StreamAppend as StreamAppend
    from whizbang.store.event_store import event_store as event_store
    from whizbang.store.event_store import history as history

__version__ = "0.1.0"

_MODULES = {
    "domain.aggregate": "Aggregate applies",
    "domain.context": "Context",
    "drivers.stores.base": "ANY NO_STREAM STREAM_EXISTS",
    "exceptions": "AggregateNotFound BrokenEntry CommandFailed ConcurrencyError DecodeError HandlerNotFound "
    "InvalidMessage MessageIdReused MessageRejected NotAuthorized NotReady OwnershipError Rejected "
    "RemoteQuery ResultTooLarge SinkUnavailable StaleCache UnknownMessageType WaitTimeout WhizbangError WrongMode",
    "messages.base": "Command Constraint Event Query Value",
    "messages.becoming": "retire",
    "messages.declare": "named owned_by requires upcasts",
    "messages.envelope": "Envelope envelope",
    "messages.metadata": "Metadata",
    "messages.personal": "PERSONAL",
    "messaging.batches": "BatchReceipt",
    "messaging.receipts": "Receipt",
    "projections.cached.projection": "CachedProjection",
    "projections.declaration": "BEGINNING DELETE LIVE on",
    "projections.external": "ExternalProjection",
    "projections.free": "Projection",
    "projections.model": "ModelProjection",
    "routing.registry": "handles subscribes",
    "routing.retry": "Retry",
    "routing.verbs": "adispatch apublish apublish_batch aquery asend dispatch publish publish_batch "
    "query send",
    "sagas.saga": "Saga on_timeout starts_on",
    "store.event_store": "StreamAppend event_store history",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'whizbang' has no attribute {name!r}")
    value = getattr(import_module(f"whizbang.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
