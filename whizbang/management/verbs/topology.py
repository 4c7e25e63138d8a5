"""`topology`: who owns, handles and hears what."""

from __future__ import annotations

import json
import textwrap
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.topology import (
    CommandRoute,
    EventRoute,
    ServiceEntry,
    ServiceMap,
    map_services,
)
from whizbang.operations.topology_svg import draw_topology

_COLUMNS = 100


class TopologyVerb(Verb):
    name = "topology"
    help = "Show who owns, handles and hears what, and what nobody does."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--svg", metavar="FILE", help="Draw it there.")
        parser.add_argument("--check", action="store_true", help="Exit code 1 if it warns.")

    def run(self, command: BaseCommand, options: Options) -> None:
        found = map_services()
        if options["svg"]:
            _write(options["svg"], draw_topology(found))
        if options["json"]:
            command.stdout.write(json.dumps(asdict(found)))
        elif not options["svg"]:
            _print(command, found)
        if options["svg"] and not options["json"]:
            _print_warnings(command, found)
        if options["check"] and found.warnings:
            raise CommandError(f"{len(found.warnings)} warnings.")


def _write(path: str, drawn: str) -> None:
    try:
        Path(path).write_text(drawn, encoding="utf-8")
    except OSError as exc:
        raise CommandError(f"{path} cannot be written: {exc.strerror}.") from exc


def _print(command: BaseCommand, found: ServiceMap) -> None:
    for service in found.services:
        command.stdout.write(_wrap(_describe_service(service), 0))
    for broker in found.brokers:
        command.stdout.write(_wrap(f"broker {broker.alias}: {broker.backend}", 0))
    for title, routes in (("commands", found.commands), ("events", found.events)):
        command.stdout.write(f"{title}{'' if routes else ': none'}")
        for route in routes:
            command.stdout.write(f"  {route.type}")
            for line in _lines_of(route):
                command.stdout.write(_wrap(line, 4))
    _print_warnings(command, found)


def _print_warnings(command: BaseCommand, found: ServiceMap) -> None:
    for warning in found.warnings:
        text = _wrap(f"warning: {warning.text}", 0)
        command.stdout.write(command.style.WARNING(text))


def _describe_service(service: ServiceEntry) -> str:
    words = f"service {service.name}" + (" (this one)" if service.is_here else "")
    words += f" owns {', '.join(service.owns) or 'nothing'}"
    return words + (f"; listens to {', '.join(service.listens_to)}" if service.listens_to else "")


def _lines_of(route: CommandRoute | EventRoute) -> Iterator[str]:
    if route.owner is None:
        yield f"domain {route.domain}, which no service owns"
    if isinstance(route, CommandRoute):
        yield from _command_lines(route)
    else:
        yield from _event_lines(route)


def _command_lines(route: CommandRoute) -> Iterator[str]:
    if route.queue is not None:
        yield f"to the queue of {route.queue}"
    elif route.owner is not None:
        yield f"handled here by {route.handler}" if route.handler else "owned here, without handler"
    if route.requires:
        yield f"from users with {', '.join(route.requires)}"


def _event_lines(route: EventRoute) -> Iterator[str]:
    if route.owner is not None:
        topic = f", published to topic {route.topic}" if route.topic else ""
        yield f"recorded by {route.owner}{topic}"
    for hearer in route.hearers:
        yield f"{hearer.kind} {hearer.name} ({hearer.delivery})"
    if route.services:
        yield f"services that listen to {route.domain}: {', '.join(route.services)}"


def _wrap(text: str, indent: int) -> str:
    """Lines of 100 columns; a name that is longer stays whole."""
    return textwrap.fill(
        text,
        _COLUMNS,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
