"""Options that say which dead letters are meant."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable

from whizbang.management.verbs.base import Options
from whizbang.management.verbs.scope import instant
from whizbang.operations.letter_filter import LetterFilter


def add_filter_arguments(parser: ArgumentParser) -> None:
    chosen = parser.add_argument_group("which letters; what is given holds together")
    chosen.add_argument("--type", metavar="NAME", help="Of this message type.")
    chosen.add_argument("--reason", metavar="NAME", help="That died of this, an exception's class.")
    chosen.add_argument("--since", type=instant, metavar="TIME", help="That died then or later.")
    chosen.add_argument("--before", type=instant, metavar="TIME", help="That died before.")


def filter_of(options: Options, *, ids: Iterable[str] = ()) -> LetterFilter:
    """Raises WhizbangError for ids that are none."""
    names = ("type", "reason", "since", "before")
    return LetterFilter.of(ids=ids, **{name: options[name] for name in names})
