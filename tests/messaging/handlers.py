"""Lets a test say how the handler of a command is declared, without a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from whizbang.messages.base import Message
from whizbang.routing.registry import registry

Declare = Callable[..., None]


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`declare(Command, priority=5)`: as if its handler's @handles said so, until the test ends."""

    def change(message_type: type[Message], **options: Any) -> None:
        handler = replace(registry.handlers[message_type][0], **options)
        monkeypatch.setitem(registry.handlers, message_type, [handler])
        registry.changed()

    yield change
    monkeypatch.undo()
    registry.changed()
