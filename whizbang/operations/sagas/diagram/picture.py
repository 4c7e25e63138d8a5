"""What a picture of a saga shows: what it hears, by which method, and what follows from that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from whizbang.conf import settings
from whizbang.messages.types import find_type
from whizbang.operations.sagas.diagram.reading import (
    CANCEL,
    COMPLETE,
    FAIL,
    SEND,
    TIMEOUT,
    UNDO,
    Asked,
    asked_by,
)
from whizbang.operations.sagas.finding import saga_named
from whizbang.sagas.saga import Saga

_COMMANDS = (SEND, UNDO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """An event that a method hears, with the service that records it, or a timeout that calls it."""

    kind: str  # "event" or "timeout"
    name: str
    service: str = ""  # another one than this
    is_start: bool = False  # it may start an instance

    def text(self) -> str:
        """In words."""
        words = f"timeout {self.name}" if self.kind == "timeout" else self.name
        return words + (f" of {self.service}" if self.service else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Follows:
    """What a method asks for; see `Asked`. `service` is another one, which a command goes to."""

    kind: str
    name: str
    is_known: bool
    service: str = ""

    def text(self) -> str:
        """In words."""
        to = f" → {self.service}" if self.service else ""
        return f"{_WORDS.get(self.kind, '')}{self._name()}{to}"

    def _name(self) -> str:
        if self.kind in _COMMANDS and not self.is_known:
            return f"a command, {self.name}"
        if self.kind in (TIMEOUT, CANCEL) and not self.is_known:
            return f"a timeout, {self.name}"
        return self.name


_WORDS = {
    SEND: "send ",
    UNDO: "undo by ",
    TIMEOUT: "wait for ",
    CANCEL: "stop waiting for ",
    COMPLETE: "complete",
    FAIL: "fail: ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodEntry:
    name: str
    triggers: tuple[Trigger, ...]
    follows: tuple[Follows, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaPicture:
    """A saga as its code tells it; methods in the order in which they are declared."""

    saga: str
    unmatched: str  # what becomes of an event without an instance
    methods: tuple[MethodEntry, ...]

    @property
    def is_whole(self) -> bool:
        """Is all of it known without running the code?"""
        return all(item.is_known for method in self.methods for item in method.follows)


def picture_of(name: str) -> SagaPicture:
    """Read from the source of the saga's methods. Raises WhizbangError where there is no such saga."""
    saga = saga_named(name)
    return SagaPicture(
        saga=name,
        unmatched=saga.unmatched,
        methods=tuple(
            MethodEntry(name=method, triggers=triggers, follows=tuple(_follows(saga, method)))
            for method, triggers in _methods(saga).items()
        ),
    )


def _methods(saga: type[Saga]) -> dict[str, tuple[Trigger, ...]]:
    found: dict[str, tuple[Trigger, ...]] = {}
    for event_type, pairs in saga.reactions.items():
        info = event_type.__whizbang__
        for method in dict.fromkeys(name for name, _ in pairs):
            trigger = Trigger(
                kind="event",
                name=info.type_name,
                service=_elsewhere(info.domain),
                is_start=saga.starts_with(method),
            )
            found[method] = (*found.get(method, ()), trigger)
    for name, method in saga.timeouts.items():
        found[method] = (*found.get(method, ()), Trigger(kind="timeout", name=name))
    return found


def _follows(saga: type[Saga], method: str) -> Iterator[Follows]:
    for asked in asked_by(saga, method):
        service = _service_of(asked) if asked.kind in _COMMANDS and asked.is_known else ""
        yield Follows(kind=asked.kind, name=asked.name, is_known=asked.is_known, service=service)


def _service_of(asked: Asked) -> str:
    found = find_type(asked.name)
    return "" if found is None else _elsewhere(found.__whizbang__.domain)


def _elsewhere(domain: str) -> str:
    """The service that owns a domain, where it is another one."""
    owner = settings.get().service_of(domain)
    if owner is None:
        return "nobody"
    return "" if owner == settings.SERVICE else owner
