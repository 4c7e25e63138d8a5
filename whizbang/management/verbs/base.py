"""What a verb of `manage.py whizbang` is to the command."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

Options = dict[str, Any]


class Parsers:
    """Adds a parser for each verb that knows Django's options."""

    def __init__(self, subparsers: Any, common: ArgumentParser | None = None) -> None:
        self._subparsers, self._common = subparsers, common or _django_options()

    def add_parser(self, name: str, *, help: str) -> ArgumentParser:
        made: ArgumentParser = self._subparsers.add_parser(name, help=help, parents=[self._common])
        return made

    def below(self, parser: ArgumentParser, *, dest: str) -> Parsers:
        """Parsers for what follows a verb."""
        return Parsers(parser.add_subparsers(dest=dest, required=True), self._common)


def _django_options() -> ArgumentParser:
    """Django's own options may stand behind the verb too."""
    common = ArgumentParser(add_help=False, argument_default=SUPPRESS)
    common.add_argument("--settings", help=SUPPRESS)
    common.add_argument("--pythonpath", help=SUPPRESS)
    common.add_argument("--traceback", action="store_true", help=SUPPRESS)
    common.add_argument("--no-color", action="store_true", help=SUPPRESS)
    common.add_argument("-v", "--verbosity", type=int, help=SUPPRESS)
    return common


class Verb(ABC):
    """One verb: its arguments, and what it does. Thin, on whizbang/operations."""

    name: str
    help: str

    def add_to(self, parsers: Parsers) -> None:
        self.add_arguments(parsers.add_parser(self.name, help=self.help))

    def add_arguments(self, parser: ArgumentParser) -> None:  # noqa: B027 - most have some
        """Add what the verb takes; nothing unless it says so."""

    @abstractmethod
    def run(self, command: BaseCommand, options: Options) -> None:
        """Do it, and write to `command.stdout`. A WhizbangError becomes a CommandError."""


def event_counter() -> Any:
    """Counts on a terminal; nothing where the output goes to a file."""
    if not sys.stderr.isatty():
        return None
    return lambda count: sys.stderr.write(f"\r{count} events")
