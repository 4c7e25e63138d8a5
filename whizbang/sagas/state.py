"""A saga's state between its attributes, plain data, and what an older class left behind."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, get_origin, get_type_hints

import msgspec

from whizbang.exceptions import WhizbangError
from whizbang.messages.becoming import Steps


class StateType:
    """The annotated attributes of one saga class, as a typed record."""

    def __init__(self, cls: type, *, base: type) -> None:
        self._owner = f"{cls.__module__}.{cls.__qualname__}"
        self.fields = _fields_of(cls, base)
        self._defaults = {name: getattr(cls, name) for name in self.fields if hasattr(cls, name)}
        self._struct = msgspec.defstruct(
            f"{cls.__name__}State",
            [
                (name, kind, _default(self._defaults[name]))
                if name in self._defaults
                else (name, kind)
                for name, kind in self.fields.items()
            ],
            kw_only=True,
        )

    def defaults(self) -> dict[str, Any]:
        """Attributes of a new instance; those without a default are missing until a method sets them."""
        return {name: copy.deepcopy(value) for name, value in self._defaults.items()}

    def load(self, data: dict[str, Any]) -> dict[str, Any]:
        """Plain data as typed attributes. Raises WhizbangError for data that does not fit."""
        return msgspec.structs.asdict(self._convert(data))

    def dump(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Attributes as plain data. Raises WhizbangError for what cannot be stored."""
        unknown = sorted(
            name for name in attributes if name not in self.fields and not name.startswith("_")
        )
        if unknown:
            raise WhizbangError(
                f"{self._owner} has set {', '.join(unknown)}, which it does not declare: annotate it in the "
                "class, or the next message would not find it."
            )
        known = {name: attributes[name] for name in self.fields if name in attributes}
        try:
            # As it will be read: not every number that Python has is one in JSON.
            data: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(known))
        except (TypeError, ValueError, OverflowError, RecursionError) as exc:
            raise WhizbangError(f"The state of {self._owner} cannot be stored: {exc}") from exc
        return data

    def _convert(self, data: dict[str, Any]) -> Any:
        try:
            return msgspec.convert(data, self._struct, str_keys=True)
        except msgspec.ValidationError as exc:
            raise WhizbangError(
                f"The state does not fit {self._owner}: {exc}. Give a new field a default, or say with "
                "@upcasts(TheSaga, from_version=…) how the state of an older version becomes one of today."
            ) from exc


def upcast(steps: Steps, data: dict[str, Any], schema: int, to: int) -> dict[str, Any]:
    """State of one version as that of a later one."""
    for version in range(schema, to):
        step = steps.upcasters.get(version)
        if step is not None:
            data = step(dict(data))
    return data


def _fields_of(cls: type, base: type) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    own = get_type_hints(base, include_extras=True)
    return {
        name: kind
        for name, kind in hints.items()
        if name not in own and not name.startswith("_") and get_origin(kind) is not ClassVar
    }


def _default(value: Any) -> Any:
    if isinstance(value, list | dict | set):
        return msgspec.field(default_factory=lambda: copy.deepcopy(value))
    return value
