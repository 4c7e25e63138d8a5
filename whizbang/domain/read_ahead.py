"""Reads the aggregates of a batch with one statement, before their handlers ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whizbang.domain.aggregate import Aggregate
from whizbang.domain.unit_of_work import UnitOfWork

Guess = tuple[type[Aggregate], str]  # the aggregate whose id stands in this field of the message


class ReadAhead:
    """Learns from the first message of a type which aggregates its handler loads.

    A wrong guess costs a read and changes nothing: what a handler does not load is not used, and the
    append checks the versions of what it does.
    """

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def learn(self, message: Any, known: set[str]) -> list[Guess]:
        """Which fields of a message that was just handled hold ids of aggregates it loaded."""
        loaded = [a for s, a in self._unit.aggregates.items() if s not in known]
        names = message.__struct_fields__
        return [
            (type(aggregate), name)
            for aggregate in loaded
            for name in names
            if str(getattr(message, name)) == aggregate.id
        ]

    def read(self, messages: Sequence[Any], guesses: Sequence[Guess]) -> None:
        """Read the aggregates that these messages will probably need."""
        for aggregate_type, name in guesses:
            ids = {str(getattr(message, name)) for message in messages}
            self._unit.read_ahead(aggregate_type, ids)


def run_with_read_ahead(unit: UnitOfWork, items: Sequence[tuple[Any, Any]], handle: Any) -> None:
    """Call `handle(item)` for each (message, item) in order, with what the first of a type taught."""
    ahead = ReadAhead(unit)
    learned: set[type] = set()
    for index, (message, item) in enumerate(items):
        message_type = type(message)
        is_first = message_type not in learned
        known = set(unit.aggregates) if is_first else set()
        handle(item)
        if is_first:
            learned.add(message_type)
            guesses = ahead.learn(message, known)
            if guesses:
                rest = [m for m, _ in items[index + 1 :] if type(m) is message_type]
                ahead.read(rest, guesses)
