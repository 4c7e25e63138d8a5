"""Code as text that changes whenever it might do something else with the same events."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import msgspec

from whizbang.messages.base import Message
from whizbang.messages.becoming import Steps, gone, retired
from whizbang.messages.types import names_read_as


def text_of_event(event_type: type[Message]) -> Iterator[str]:
    """What an event is read as: its fields, names and upcasters."""
    info = event_type.__whizbang__
    yield from (str(info.schema), *sorted(names_read_as(event_type)), schema_of(event_type))
    yield from code_of_steps(info)


def text_of_gone_events() -> Iterator[str]:
    """What becomes of events that no class stands for any more."""
    yield from sorted(retired)
    for name, steps in sorted(gone.items()):
        yield name
        yield from code_of_steps(steps)


def schema_of(cls: Any) -> str:
    """Fields, constraints and all types inside."""
    schema = msgspec.json.schema(cls, schema_hook=lambda custom: {"type": custom.__qualname__})
    return msgspec.json.encode(schema, order="sorted", enc_hook=repr).decode()


def stable_repr(value: Any) -> str:
    """As repr, but the order of a set differs from process to process."""
    return repr(sorted(map(repr, value))) if isinstance(value, set | frozenset) else repr(value)


def code_of_steps(steps: Steps) -> Iterator[str]:
    for version, step in sorted(steps.upcasters.items()):
        yield str(version)
        yield from code_of(step)
    for version, becoming in sorted(steps.becomings.items()):
        yield str(version)
        yield from code_of(becoming.function)


def code_of(function: Callable[..., Any]) -> Iterator[str]:
    """A function's instructions, but not where it stands. What it calls is not seen."""
    plain: Any = inspect.unwrap(function)
    yield str(getattr(plain, "__qualname__", type(plain).__qualname__))
    if hasattr(plain, "__code__"):
        yield from _code_parts(plain.__code__)


def _code_parts(code: CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_parts(constant)
        else:
            yield stable_repr(constant)
