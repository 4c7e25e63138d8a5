"""`schemas`: the contract of a service, and what a change of it breaks."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.schema_changes import Break, compare_schemas
from whizbang.operations.schemas import describe_schemas, read_schemas


class SchemasVerb(Verb):
    name = "schemas"
    help = "Write JSON Schemas of this service's messages, or compare them with older ones."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--output", metavar="FILE", help="Write there, not to the terminal.")
        what.add_argument(
            "--compare",
            metavar="OLD.json",
            help="Tell which changes since then break other services; exit code 1 if any does.",
        )
        parser.add_argument("--domain", help="Only messages of this domain.")
        parser.add_argument("--json", action="store_true", help="The schemas always are.")

    def run(self, command: BaseCommand, options: Options) -> None:
        if options["compare"]:
            _compare(command, options)
            return
        text = describe_schemas(domain=options["domain"]).encode()
        if options["output"]:
            _write(options["output"], text)
        else:
            command.stdout.write(text, ending="")


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise CommandError(f"{path} cannot be written: {exc.strerror}.") from exc


def _compare(command: BaseCommand, options: Options) -> None:
    # All of today's messages: of a domain that lost its last one there is nothing to describe.
    found = compare_schemas(
        read_schemas(options["compare"]), describe_schemas(), domain=options["domain"]
    )
    if options["json"]:
        command.stdout.write(json.dumps([asdict(item) for item in found]))
    else:
        _print_breaks(command, found)
    if found:
        many = "1 change breaks" if len(found) == 1 else f"{len(found)} changes break"
        raise CommandError(f"{many} others.")


def _print_breaks(command: BaseCommand, found: list[Break]) -> None:
    for item in found:
        command.stdout.write(command.style.ERROR(str(item)))
    if not found:
        command.stdout.write("Nothing breaks others.")
