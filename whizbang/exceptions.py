"""Every error of the library, under one root. Each says what happened, to which message, and what to do."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError


class WhizbangError(Exception):
    """Root of all errors of this library."""

    def __reduce__(self) -> Any:
        # Exceptions are made from facts and keep a text: unpickle both as they are.
        return _unpickle, (type(self), self.args, self.__dict__)


def _unpickle(cls: type[WhizbangError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    made = cls.__new__(cls)
    made.args = args
    made.__dict__.update(state)
    return made


class Rejected(WhizbangError):
    """Base of a domain's own refusals: an answer to the sender, never retried."""


class ConcurrencyError(WhizbangError):
    """A stream is not where the writer expected it to be; nothing was written.

    `is_lasting`: the writer named the version himself, so trying again on fresh state cannot help.
    """

    def __init__(
        self, stream: str, expected: object, actual: int | None, *, is_lasting: bool = False
    ) -> None:
        self.stream, self.expected, self.actual = stream, expected, actual
        self.is_lasting = is_lasting
        at = f"is at version {actual}" if actual is not None else "was changed by another writer"
        super().__init__(f"Stream {stream!r} {at}, expected {expected}: load it again and retry.")


class AggregateNotFound(WhizbangError, ObjectDoesNotExist):
    """`require` found no events for an aggregate."""

    def __init__(self, aggregate: str, id: str) -> None:
        self.aggregate, self.id = aggregate, id
        super().__init__(
            f"{aggregate} {id!r} does not exist: it has no events. "
            "Use load() if a new one is meant to be made."
        )


class HandlerNotFound(WhizbangError):
    """No handler is registered for a command or query of a domain that this service owns."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name
        super().__init__(
            f"No handler for {type_name!r}: add one with @handles in a handlers module "
            "of an installed app."
        )


class OwnershipError(WhizbangError):
    """A domain was used by a service, a handler or an aggregate that does not own it."""


class RemoteQuery(WhizbangError):
    """A query belongs to a domain of another service, which cannot be asked from here."""


class UnknownMessageType(WhizbangError):
    """A stored or received message has a type that no installed app defines."""

    def __init__(self, type_name: str, where: str = "") -> None:
        self.type_name, self.where = type_name, where
        place = f" ({where})" if where else ""
        super().__init__(
            f"Message type {type_name!r}{place} is not defined by any installed app: add its app, keep "
            "the old name as an alias with @named(..., aliases=[...]), say with @upcasts(..., into=...) "
            "what it is read as, or leave it out with whizbang.retire(...)."
        )


class DecodeError(WhizbangError):
    """A stored or received payload does not fit its message type."""

    def __init__(self, type_name: str, where: str, reason: str) -> None:
        self.type_name, self.where, self.reason = type_name, where, reason
        super().__init__(
            f"Payload of {type_name!r} ({where}) does not decode: {reason}. "
            "Add an upcaster with @upcasts for the version it was stored with."
        )


class MessageRejected(WhizbangError):
    """A message was refused before it reached its handler."""


class InvalidMessage(MessageRejected, ValidationError):
    """A message broke its types, its constraints or its own `clean()`."""

    def __init__(self, type_name: str, reason: Any) -> None:
        self.type_name, self.reason = type_name, reason
        ValidationError.__init__(self, reason)

    def __reduce__(self) -> Any:
        return type(self), (self.type_name, self.reason)  # Django's error holds itself in a list

    def __str__(self) -> str:
        return f"{self.type_name} is invalid: {'; '.join(self.messages)}"


class NotAuthorized(MessageRejected, PermissionDenied):
    """The user who sends may not send this message."""

    def __init__(self, type_name: str, permission: str, user: str | None) -> None:
        self.type_name, self.permission, self.user = type_name, permission, user
        who = f"User {user!r} may not send" if user else "Nobody is named as the sender of"
        super().__init__(
            f"{who} {type_name}: it requires the permission {permission!r}. "
            "Pass user=request.user of somebody who has it."
        )


class MessageIdReused(WhizbangError):
    """A message id was used again for another payload."""

    def __init__(self, message_id: object, type_name: str) -> None:
        self.message_id, self.type_name = message_id, type_name
        super().__init__(
            f"Message id {message_id} was used before with another payload than this "
            f"{type_name}: give each message an id of its own."
        )


class CommandFailed(WhizbangError):
    """A durable command was given up; the receipt tells why."""

    def __init__(self, message_id: object, type_name: str, status: str, reason: str) -> None:
        self.message_id, self.type_name = message_id, type_name
        self.status, self.reason = status, reason
        super().__init__(f"{type_name} {message_id} has {status}: {reason}")


class WaitTimeout(WhizbangError):
    """What was waited for did not happen in time; it may still happen."""


class ResultTooLarge(WhizbangError):
    """A repeated message was handled before, but its result was too large to be kept."""

    def __init__(self, message_id: object, type_name: str) -> None:
        self.message_id, self.type_name = message_id, type_name
        super().__init__(
            f"{type_name} {message_id} was handled, but its result was larger than "
            "MAX_RESULT_BYTES and was not kept: query what it did instead."
        )


class UnstorableResult(WhizbangError):
    """A handler returned what cannot be kept for a receipt or a repeated message."""

    def __init__(self, type_name: str, reason: object) -> None:
        self.type_name = type_name
        super().__init__(
            f"A handler returned a {type_name}, which cannot be kept for its receipt ({reason}): "
            "return plain values or messages."
        )


class SinkUnavailable(WhizbangError):
    """The product behind an external projection cannot do its work now; what waits is tried again."""

    def __init__(self, alias: str, reason: str) -> None:
        self.alias, self.reason = alias, reason
        super().__init__(f"Sink {alias!r} is not available: {reason}")


class WrongMode(WhizbangError):
    """A verb was used where it cannot work, such as waiting inside an open transaction."""


class StaleCache(WhizbangError):
    """A cached projection is not known to be as current as it declares; it does not answer."""


class BrokenEntry(WhizbangError):
    """An entry of a cached projection cannot be read, since an event failed on it."""

    def __init__(self, key: Any, event: Any, reason: str) -> None:
        self.key, self.event, self.reason = key, event, reason
        super().__init__(
            f"Entry {key!r} is broken: {event.type} at position {event.position} of stream "
            f"{event.stream!r} failed with {reason}. Correct the projection's code and restart."
        )


class NotReady(WhizbangError):
    """The library was used before Django's apps were loaded, or its tables before `migrate`."""
