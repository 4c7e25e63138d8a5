"""Aggregates: state that follows from events."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar, get_origin

from whizbang.exceptions import OwnershipError, WhizbangError
from whizbang.messages.base import Event, domain_of_module
from whizbang.messages.signatures import check_takes
from whizbang.messages.validation import validator

E = TypeVar("E", bound=Event)
S = TypeVar("S")
_COPIED = (list, dict, set)
_DECLARATIONS = ("category", "ignores", "snapshot_every", "snapshot_version")
_SHARED_SAFE = (int, float, complex, str, bytes, bool, type(None), tuple, frozenset)


def applies(
    *event_types: type[E],
) -> Callable[[Callable[[S, E], None]], Callable[[S, E], None]]:
    """Mark the method that changes an aggregate's state for these events.

    It must only set state: it runs again whenever the aggregate is loaded.
    """
    for event_type in event_types:
        if not (isinstance(event_type, type) and issubclass(event_type, Event)):
            raise TypeError(f"@applies takes Event classes, not {event_type!r}.")

    def decorate(method: Callable[[S, E], None]) -> Callable[[S, E], None]:
        check_takes(method, "self", "event", decorator="applies")
        method.__whizbang_applies__ = event_types  # type: ignore[attr-defined]
        return method

    return decorate


class _Namespace(dict[str, Any]):
    """Refuses a second applier of the same name, which would silently replace the first."""

    def __setitem__(self, key: str, value: Any) -> None:
        if hasattr(self.get(key), "__whizbang_applies__"):
            raise TypeError(f"The method name {key!r} is used twice in one aggregate: rename one.")
        super().__setitem__(key, value)


class AggregateMeta(type):
    @classmethod
    def __prepare__(mcls, name: str, bases: tuple[type, ...], /, **kwargs: Any) -> _Namespace:
        return _Namespace()

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any
    ) -> Any:
        return super().__new__(mcls, name, bases, dict(namespace), **kwargs)


declared: list[type[Aggregate]] = []


class Aggregate(metaclass=AggregateMeta):
    """Base of aggregates: annotated class attributes are the state, `@applies` methods change it.

    `category` names the streams ("orders.Order") and survives renames of the class; `ignores` lists
    events that are recorded without an applier on purpose. With `snapshot_every = 100` the state is
    kept after each 100 events, so that loading reads fewer; raise `snapshot_version` when code that
    appliers call makes another state of the same events.
    """

    category: ClassVar[str] = ""
    ignores: ClassVar[tuple[type[Event], ...] | list[type[Event]]] = ()
    snapshot_every: ClassVar[int] = 0  # events; 0 takes no snapshots
    snapshot_version: ClassVar[int] = 1

    id: str
    version: int  # of the stream as it was read; new events are not counted

    _appliers: ClassVar[dict[type[Event], Callable[[Any, Any], None]]] = {}
    _plain: ClassVar[dict[str, Any]] = {}
    _copied: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._appliers = _collect_appliers(cls)
        defaults = dict(_state_defaults(cls))
        cls._copied = {n: v for n, v in defaults.items() if type(v) in _COPIED}
        cls._plain = {n: v for n, v in defaults.items() if n not in cls._copied}
        declared.append(cls)

    def __init__(self, id: str) -> None:
        self.id = id
        self.version = 0
        self._pending: list[Event] = []
        self._on_record: Callable[[Aggregate, Event, bytes], None] | None = None
        self._reset()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id!r} at version {self.version}>"

    @classmethod
    def domain(cls) -> str:
        found: str | None = cls.__dict__.get("_domain_name")
        if found is None:
            found = cls._domain_name = domain_of_module(cls.__module__)  # type: ignore[attr-defined]
        return found

    @classmethod
    def stream_of(cls, id: str) -> str:
        """Name of the stream that holds the aggregate with this id."""
        return f"{cls._category()}-{id}"

    @classmethod
    def _category(cls) -> str:
        found: str | None = cls.__dict__.get("_category_name")
        if found is None:
            name = cls.__dict__.get("category") or cls.__name__
            found = name if "." in name else f"{cls.domain()}.{name}"
            cls._category_name = found  # type: ignore[attr-defined]
        return found

    @property
    def stream(self) -> str:
        return self.stream_of(self.id)

    def record(self, event: Event) -> None:
        """Record a new event: it is applied at once and appended when the handler returns.

        Raises `InvalidMessage` when it breaks its types or constraints (the state is as before), `OwnershipError` for an event of another domain, WhizbangError for one without an
        applier that `ignores` does not list.
        """
        event_type = type(event)
        if not isinstance(event, Event):
            raise TypeError(f"record() takes an Event, not {event_type.__name__}.")
        if event_type.__whizbang__.domain != self.domain():
            raise OwnershipError(
                f"{type(self).__name__} of domain {self.domain()!r} cannot record "
                f"{event_type.__whizbang__.type_name}: that event belongs to another domain. "
                "Send a command to its owner."
            )
        self._check_known(event)
        # The checked copy is applied and stored, so that today's state is tomorrow's reload.
        checked, payload = validator(event_type).validate(event)
        if self._on_record is not None:
            self._on_record(self, checked, payload)
        self._apply(checked)
        self._pending.append(checked)

    def _check_known(self, event: Event) -> None:
        event_type = type(event)
        if event_type not in self._appliers and event_type not in self.ignores:
            raise WhizbangError(
                f"{type(self).__name__} has no @applies method for {event_type.__name__}: add one, "
                "or list it in `ignores` if its state does not depend on it."
            )

    def _apply(self, event: Event) -> None:
        applier = self._appliers.get(type(event))
        if applier is not None:
            applier(self, event)

    def _reset(self) -> None:
        state = self.__dict__
        state.update(self._plain)
        for name, value in self._copied.items():
            state[name] = copy.deepcopy(value) if value else type(value)()


def _collect_appliers(cls: type[Aggregate]) -> dict[type[Event], Callable[[Any, Any], None]]:
    found: dict[type[Event], Callable[[Any, Any], None]] = {}
    for base in reversed(cls.__mro__):
        for value in base.__dict__.values():
            for event_type in getattr(value, "__whizbang_applies__", ()):
                found[event_type] = value
    return found


def _state_defaults(cls: type[Aggregate]) -> Iterator[tuple[str, Any]]:
    for base, name in _annotated(cls):
        if name in base.__dict__:
            yield name, base.__dict__[name]


def state_names(cls: type[Aggregate]) -> list[str]:
    """Names of the attributes that are an aggregate's state, with and without defaults."""
    return list(dict.fromkeys(name for _, name in _annotated(cls)))


def _annotated(cls: type[Aggregate]) -> Iterator[tuple[type, str]]:
    for base in reversed(cls.__mro__):
        if base is Aggregate or not issubclass(base, Aggregate):
            continue
        for name, annotation in base.__dict__.get("__annotations__", {}).items():
            is_class_var = "ClassVar" in str(annotation) or get_origin(annotation) is ClassVar
            if not is_class_var and name not in _DECLARATIONS:
                yield base, name


def shared_defaults(cls: type[Aggregate]) -> Iterator[str]:
    """Names of state attributes whose mutable default all instances would share."""
    for name, value in cls._plain.items():
        hashable = getattr(type(value), "__hash__", None) is not None
        if not isinstance(value, _SHARED_SAFE) and not (hashable and _is_immutable(value)):
            yield name


def unannotated_defaults(cls: type[Aggregate]) -> Iterator[str]:
    """Names of lists, dicts and sets that are no state, since they have no annotation: shared."""
    annotations = cls.__dict__.get("__annotations__", {})
    for name, value in cls.__dict__.items():
        if name.startswith("_") or name in annotations or name in _DECLARATIONS:
            continue
        if type(value) in _COPIED:
            yield name


def _is_immutable(value: Any) -> bool:
    """Enums, Decimals, dates and frozen values hash by content; plain objects hash by identity."""
    method: Any = type(value).__hash__
    return method is not object.__hash__
