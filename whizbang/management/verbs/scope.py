"""Options that say which part of history is meant."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, date, datetime
from typing import Any

from whizbang.management.verbs.base import Options
from whizbang.operations.scope import Scope
from whizbang.store.event_store import as_instant


def add_scope_arguments(parser: ArgumentParser) -> None:
    scope = parser.add_argument_group("which events; what is given holds together")
    scope.add_argument("--since", type=instant, metavar="TIME", help="Recorded then or later.")
    scope.add_argument("--before", type=instant, metavar="TIME", help="Recorded before.")
    scope.add_argument("--last-days", type=float, metavar="N")
    scope.add_argument("--after", type=int, metavar="POSITION", help="Behind this position.")
    scope.add_argument("--until", type=int, metavar="POSITION", help="Up to this position.")
    scope.add_argument("--last-events", type=int, metavar="N")
    scope.add_argument("--streams", nargs="+", default=[], metavar="STREAM")
    scope.add_argument("--everything", action="store_true")


def scope_of(options: Options) -> Scope:
    """Raises WhizbangError for options that do not go together."""
    names = ("since", "before", "last_days", "after", "until", "last_events", "everything")
    return Scope(streams=tuple(options["streams"]), **{name: options[name] for name in names})


def scope_fields(options: Options) -> dict[str, Any]:
    """The same as the fields of an action. Raises WhizbangError as scope_of() does."""
    scope = scope_of(options)
    times = {"since": as_instant(scope.since), "before": as_instant(scope.before)}
    names = ("last_days", "after", "until", "last_events", "everything")
    return {
        **times,
        **{name: getattr(scope, name) for name in names},
        "streams": list(scope.streams),
    }


def instant(text: str) -> datetime | date:
    """A date, or a time; without a zone it is UTC."""
    try:
        if len(text) == len("2024-01-31"):
            return date.fromisoformat(text)
        found = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ArgumentTypeError(f"{text!r} is no date or time: give 2024-01-31T12:00") from exc
    return found if found.tzinfo else found.replace(tzinfo=UTC)
