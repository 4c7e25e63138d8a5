"""JSON Schema of the messages that a service owns: its contract with other services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import inspect

from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.messages.base import Event, Message
from whizbang.messages.types import public_types
from whizbang.messaging.results import result_type
from whizbang.operations.schema_formats import complete_formats

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_UNUSABLE = (TypeError, ValueError, NameError)  # what msgspec says of types that it cannot describe


class MessageSchema(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message: `schema` of its payload, `result` of its answer (of commands and queries)."""

    domain: str
    kind: Literal["command", "event", "query"]
    version: int  # of the payload: the one that is written today
    aliases: list[str] = []  # other names that are read as this type
    schema: dict[str, Any]
    result: dict[str, Any] | None = None


class SchemaDocument(msgspec.Struct, frozen=True, kw_only=True):
    """All messages of a service by type name; what they share stands in `$defs`."""

    dialect: str = msgspec.field(name="$schema", default=DIALECT)
    service: str
    messages: dict[str, MessageSchema]
    defs: dict[str, dict[str, Any]] = msgspec.field(name="$defs")

    def encode(self) -> str:
        """As JSON text, the same one for the same messages in every process."""
        data = msgspec.json.encode(self, order="deterministic")
        return msgspec.json.format(data, indent=2).decode() + "\n"


def describe_schemas(*, domain: str | None = None) -> SchemaDocument:
    """The messages of the domains that this service owns, or of one of them.

    Raises `WhizbangError` for a domain without messages that this service owns, and for a message
    that JSON Schema cannot describe.
    """
    found = sorted(_owned_types(domain), key=lambda cls: cls.__whizbang__.type_name)
    if domain is not None and not found:
        raise WhizbangError(
            f"Service {settings.SERVICE!r} owns no message of domain {domain!r}: look at "
            "WHIZBANG['OWNS'] and at `manage.py whizbang topology`."
        )
    answered = [cls for cls in found if not issubclass(cls, Event)]
    types = [*found, *(result_type(cls) for cls in answered)]
    schemas, defs = describe_types(types, [*found, *answered])
    results = dict(zip(answered, schemas[len(found) :], strict=True))
    return SchemaDocument(
        service=settings.SERVICE,
        messages={
            cls.__whizbang__.type_name: _message_schema(cls, schema, results.get(cls))
            for cls, schema in zip(found, schemas, strict=False)
        },
        defs=defs,
    )


def read_schemas(path: str | Path) -> SchemaDocument:
    """What `describe_schemas` gave before. Raises `WhizbangError` for a file that is no such document."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=SchemaDocument)
    except OSError as exc:
        raise WhizbangError(f"{path} cannot be read: {exc.strerror}.") from exc
    except msgspec.MsgspecError as exc:
        raise WhizbangError(
            f"{path} is not what `manage.py whizbang schemas` writes: {exc}. Write it again with "
            "--output, from the version to compare with."
        ) from exc


def _owned_types(domain: str | None) -> Iterator[type[Message]]:
    owns = settings.get().owns
    for cls in public_types():
        info = cls.__whizbang__
        if info.kind != "value" and owns(info.domain) and domain in (None, info.domain):
            yield cls


def _message_schema(
    cls: type[Message], schema: dict[str, Any], result: dict[str, Any] | None
) -> MessageSchema:
    info: Any = cls.__whizbang__
    return MessageSchema(
        domain=info.domain,
        kind=info.kind,
        version=info.schema,
        aliases=sorted(info.alias_names),
        schema=schema,
        result=result,
    )


def describe_types(
    types: Sequence[Any], owners: Sequence[type[Message]]
) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """Schemas of `types`; an error names the message among `owners` whose type it is."""
    if not types:
        return (), {}
    try:
        schemas, defs = msgspec.json.schema_components(types)
    except _UNUSABLE as exc:
        raise _find_unusable(types, owners, exc) from exc
    complete_formats(inspect.multi_type_info(types), schemas, defs)
    return schemas, defs


def _find_unusable(
    types: Sequence[Any], owners: Sequence[type[Message]], error: Exception
) -> WhizbangError:
    for found, owner in zip(types, owners, strict=True):
        try:
            msgspec.json.schema_components([found])
        except _UNUSABLE as exc:
            name = owner.__whizbang__.type_name
            what = name if found is owner else f"The result of {name}"
            reason = str(exc).partition("\n")[0]
            return WhizbangError(f"{what} has no JSON Schema: {type(exc).__name__}: {reason}")
    return WhizbangError(f"These messages together have no JSON Schema: {error}")
