"""What an action is, and which there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec
from django.db.models import Model

from whizbang.models import OperatorAction
from whizbang.operations.actions.errors import UnknownAction


class By(NamedTuple):
    """Who does it, and why; both are kept."""

    operator: str
    reason: str


class Fact(NamedTuple):
    """One thing to know before it is done, such as ("rows that will be deleted", "12,403")."""

    name: str
    value: str


class Done(NamedTuple):
    """What was done, in a sentence for people; and what was found, as plain values, where the action looks."""

    text: str
    document: Any = None
    record: OperatorAction | None = None  # of one that keeps its own record: the first of them


class Action(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that an operator can do. Its fields are its parameters: plain values, no payloads but `payloads`.

    A class that sets `name` is registered. What it does is in functions of whizbang/operations: an action
    says how people meet them.
    """

    name: ClassVar[str] = ""  # of the verb, in the audit trail, and in FOUR_EYES
    family: ClassVar[str] = ""  # a wider word that FOUR_EYES may say: "discard", whatever it is
    label: ClassVar[Any] = ""  # for the button: "Pause"
    permission: ClassVar[str] = ""  # that a user of the console or the API needs
    is_long: ClassVar[bool] = False  # done by a worker, not in the request
    is_harmless: ClassVar[bool] = (
        False  # only looks: needs no second person, whatever FOUR_EYES says
    )
    recorded_as: ClassVar[str] = ""  # in the audit trail, where that is not the name
    keeps_record: ClassVar[bool] = (
        False  # `run` writes the audit trail itself, in its own transaction
    )
    needs_reason: ClassVar[bool] = True
    finds_values: ClassVar[bool] = (
        False  # its document has values of rows, states or payloads, which may be personal
    )
    payloads: ClassVar[
        tuple[str, ...]
    ] = ()  # parameters that are one: a request forgets them in the end

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.name:
            _classes[cls.name] = cls

    def target(self) -> str:
        """What it is done to, such as "subscription shop.Orders": the audit trail finds it by this."""
        raise NotImplementedError

    def about(self) -> tuple[type[Model], Any] | None:
        """The model and the primary key of the row in whose history the admin shall list it, if there is one."""
        return None

    def facts(self) -> Sequence[Fact]:
        """What will happen, in numbers, for the page or the prompt that asks. Bounded in time."""
        return ()

    def state(self) -> dict[str, str]:
        """What must be as the operator saw it, such as {"status": "paused"}; never what moves by itself.

        Raises WhizbangError where the target does not exist.
        """
        return {}

    def check(self) -> None:
        """Raise WhizbangError where it cannot be done at all; called before anybody is asked to approve it."""

    def run(self, by: By) -> Done:
        """Do it. In the store's transaction together with its record, unless it `is_long`."""
        raise NotImplementedError

    def parameters(self) -> dict[str, Any]:
        """Its fields as plain values, payloads too, without those that are at their default."""
        whole: dict[str, Any] = msgspec.to_builtins(self)
        defaults = {f.name: f.default for f in msgspec.structs.fields(self)}
        return {k: v for k, v in whole.items() if v != defaults.get(k, msgspec.NODEFAULT)}


_classes: dict[str, type[Action]] = {}


def action_names() -> list[str]:
    """All there are, sorted."""
    _load()
    return sorted(_classes)


def approvable_names() -> list[str]:
    """What FOUR_EYES may say, sorted: names of actions, and of families."""
    _load()
    families = {cls.family for cls in _classes.values() if cls.family}
    return sorted({*_classes, *families})


def action_class(name: str) -> type[Action]:
    """Raises UnknownAction."""
    _load()
    if name not in _classes:
        raise UnknownAction(f"No action {name!r}: there are {', '.join(sorted(_classes))}.")
    return _classes[name]


def read_action(name: str, parameters: Mapping[str, Any]) -> Action:
    """The action with parameters from a form, an address or a stored request; texts become numbers where one
    is meant. Raises UnknownAction."""
    cls = action_class(name)
    if any("\0" in text for value in parameters.values() for text in _texts_in(value)):
        # No database is asked for one: PostgreSQL would refuse the question.
        raise UnknownAction(f"The action {name!r} does not take a text with a NUL.")
    try:
        return msgspec.convert(dict(parameters), cls, strict=False)
    except msgspec.ValidationError as exc:
        raise UnknownAction(f"The action {name!r} does not take this: {exc}.") from exc


def _texts_in(value: Any) -> Iterator[str]:
    """Payloads are JSON, in which a NUL has its place."""
    items = value if isinstance(value, list | tuple) else [value]
    return (item for item in items if isinstance(item, str))


def _load() -> None:
    from whizbang.operations.actions import registered

    del registered
