"""`manage.py whizbang <verb>`: the verbs stand in whizbang/management/verbs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from whizbang.exceptions import WhizbangError
from whizbang.management.verbs.base import Parsers
from whizbang.management.verbs.registered import VERBS


class Command(BaseCommand):
    help = f"Runs and watches whizbang: {', '.join(verb.name for verb in VERBS)}."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parsers = Parsers(parser.add_subparsers(dest="verb", required=True))
        for verb in VERBS:
            verb.add_to(parsers)

    def handle(self, *args: Any, **options: Any) -> None:
        verb = next(verb for verb in VERBS if verb.name == options["verb"])
        try:
            verb.run(self, options)
        except WhizbangError as exc:
            raise CommandError(str(exc)) from exc
