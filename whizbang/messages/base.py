"""Command, Event, Query and Value: frozen, keyword-only, typed structs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, dataclass_transform

import msgspec
from django.apps import apps
from django.core.exceptions import AppRegistryNotReady

from whizbang.exceptions import NotReady
from whizbang.messages.becoming import Steps

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class MessageInfo(Steps):
    """What the library knows of one message class; one object a class, never inherited."""

    __slots__ = (
        "_domain",
        "aliases",
        "codecs",
        "cls",
        "explicit_domain",
        "explicit_name",
        "kind",
        "requires",
    )

    def __init__(self, cls: type[Message], kind: str) -> None:
        super().__init__()
        self.cls = cls
        self.kind = kind  # "command", "event", "query" or "value"
        self.explicit_domain: str | None = None
        self._domain: str | None = None  # of the module, once it was looked up
        self.explicit_name: str | None = None
        self.aliases: tuple[str, ...] = ()
        self.requires: tuple[str, ...] = ()
        self.codecs: dict[str, Any] = {}  # by content type, made when first needed

    @property
    def domain(self) -> str:
        """Who owns the message: what @owned_by says, else its app's label or its top package."""
        if self.explicit_domain is not None:
            return self.explicit_domain
        if self._domain is None:
            self._domain = domain_of_module(self.cls.__module__)
        return self._domain

    @property
    def type_name(self) -> str:
        """The stable name under which the message is stored and sent, such as orders.PlaceOrder."""
        name = self.explicit_name or self.cls.__name__
        return name if "." in name else f"{self.domain}.{name}"

    @property
    def alias_names(self) -> tuple[str, ...]:
        return tuple(a if "." in a else f"{self.domain}.{a}" for a in self.aliases)


def domain_of_module(module: str) -> str:
    """Label of the app that contains a module; outside INSTALLED_APPS its top package.

    Raises `NotReady` before Django knows its apps.
    """
    try:
        config = apps.get_containing_app_config(module)
    except AppRegistryNotReady as exc:
        raise NotReady(
            f"The domain of {module!r} was asked for before Django's apps were loaded: "
            "call django.setup() first, or move the call into a function or AppConfig.ready()."
        ) from exc
    return config.label if config is not None else module.partition(".")[0]


declared: list[type[Message]] = []
_KINDS = {"Command": "command", "Event": "event", "Query": "query", "Value": "value"}


class MessageMeta(msgspec.StructMeta):
    """Makes every message frozen and keyword-only, and gives it a `__whizbang__` of its own.

    `kw_only` and `forbid_unknown_fields` do not inherit in msgspec, so they are set per class.
    """

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any
    ) -> Any:
        if config.get("frozen") is False:
            raise TypeError(
                f"Message {name} cannot be frozen=False: messages are facts and are shared."
            )
        kind = next((b.__whizbang__.kind for b in bases if hasattr(b, "__whizbang__")), "")
        config["frozen"] = True
        config["kw_only"] = True
        if kind or name in _KINDS:
            strict = (kind or _KINDS[name]) in ("command", "query")
            config.setdefault("forbid_unknown_fields", strict)
        cls: Any = super().__new__(mcls, name, bases, namespace, **config)
        is_root = namespace.get("__module__") == __name__
        cls.__whizbang__ = MessageInfo(cls, _KINDS.get(name, "") if is_root else kind)
        if kind and not is_root:
            declared.append(cls)
        return cls


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class Message(msgspec.Struct, frozen=True, kw_only=True, metaclass=MessageMeta):
    """Base of all messages. Do not subclass it directly: use Command, Event, Query or Value."""

    __whizbang__: ClassVar[MessageInfo]


class Command(Message, Generic[R]):
    """Asks its owner to do something; its one handler returns an `R`."""


class Query(Message, Generic[R]):
    """Asks for something without changing anything; its one handler returns an `R`."""


class Event(Message):
    """A fact of the past. Unknown fields are ignored when it is read."""


class Value(Message):
    """A value inside messages."""


Constraint = msgspec.Meta
