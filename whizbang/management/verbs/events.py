"""`events`, `trace` and `state`: what happened."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Verb
from whizbang.management.verbs.scope import instant
from whizbang.operations.events.finding import PAGE_EVENTS, EventQuery, find_events
from whizbang.operations.events.states import state_at, state_difference, version_at
from whizbang.operations.events.trace import UNKNOWN, Trace, TraceNode, trace
from whizbang.operations.events.trace_svg import by_service, by_stream, draw_trace, duration
from whizbang.store.event_store import as_instant, event_store

_LANES = {"stream": by_stream, "service": by_service}


class EventsVerb(Verb):
    name = "events"
    help = "Find events, the newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--message-id", type=UUID, metavar="ID")
        parser.add_argument("--correlation-id", type=UUID, metavar="ID")
        parser.add_argument("--type", default="", help="As it is stored: orders.OrderPlaced.")
        parser.add_argument("--user", default="", help="As it is stored: a primary key, or text.")
        parser.add_argument("--since", type=instant, metavar="TIME", help="Recorded then or later.")
        parser.add_argument("--before", type=instant, metavar="TIME", help="Recorded before.")
        parser.add_argument("--older-than", type=int, metavar="POSITION", help="See its end.")
        parser.add_argument("--limit", type=int, default=PAGE_EVENTS, metavar="N")
        parser.add_argument("--json", action="store_true")

    def run(self, command: BaseCommand, options: Options) -> None:
        query = EventQuery(
            message_id=options["message_id"],
            correlation_id=options["correlation_id"],
            type=options["type"],
            user=options["user"],
            since=as_instant(options["since"]),
            before=as_instant(options["before"]),
        )
        if options["limit"] < 1:
            raise CommandError("--limit counts from 1.")
        found = find_events(
            query, store=event_store(), older_than=options["older_than"], limit=options["limit"]
        )
        for event in found.events:
            user = f" by {event.user}" if event.user else ""
            line = f"{event.position:8} {_moment(event.recorded_at)} {event.type}{user}"
            line += f"\n         {event.stream} version {event.version}, message {event.message_id}"
            command.stdout.write(_as_json(event) if options["json"] else line)
        if options["json"]:
            return
        if found.older_than is not None:
            command.stdout.write(f"Perhaps more: --older-than {found.older_than}")
        if found.unindexed:
            text = "The index lags behind the log: the newest events were not all looked at."
            command.stdout.write(command.style.WARNING(text))


class TraceVerb(Verb):
    name = "trace"
    help = "Show all that one message has led to."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("correlation_id", type=UUID)
        parser.add_argument("--svg", metavar="FILE", help="Draw it there.")
        parser.add_argument(
            "--by", choices=_LANES, default="stream", help="Columns of the picture."
        )
        parser.add_argument("--json", action="store_true")

    def run(self, command: BaseCommand, options: Options) -> None:
        found = trace(options["correlation_id"])
        if not found.nodes:
            raise CommandError(f"Nothing is known here of correlation {found.correlation_id}.")
        if options["svg"]:
            _write(options["svg"], draw_trace(found, lane_of=_LANES[options["by"]]))
        if options["json"]:
            command.stdout.write(_as_json(found))
        elif not options["svg"]:
            for line in _trace_lines(found):
                command.stdout.write(line)


class StateVerb(Verb):
    name = "state"
    help = "Show an aggregate as it was."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("stream", help="Such as orders.Order-17.")
        when = parser.add_mutually_exclusive_group()
        when.add_argument("--version", type=int, metavar="N", help="The last one without it.")
        when.add_argument("--recorded", type=instant, metavar="TIME", help="As recorded by then.")
        when.add_argument("--occurred", type=instant, metavar="TIME", help="By business time.")
        parser.add_argument("--changes", action="store_true", help="Only what the version changed.")
        parser.add_argument("--json", action="store_true")

    def run(self, command: BaseCommand, options: Options) -> None:
        version = _version_of(options)
        if not options["changes"]:
            state = state_at(options["stream"], version)
            lines = [json.dumps(state, ensure_ascii=False)] if options["json"] else _lines(state)
        else:
            found = state_difference(options["stream"], version)
            lines = [_as_json(found)] if options["json"] else _change_lines(found)
        if not options["json"]:
            command.stdout.write(f"{options['stream']} at version {version}")
        for line in lines:
            command.stdout.write(line)


def _version_of(options: Options) -> int:
    stream, version = options["stream"], options["version"]
    if version is not None:
        return int(version)
    recorded, occurred = as_instant(options["recorded"]), as_instant(options["occurred"])
    found = version_at(stream, recorded=recorded, occurred=occurred)
    if not found:
        raise CommandError(f"Stream {stream!r} has no events, or had none by then.")
    return found


def _lines(state: dict[str, Any]) -> Iterator[str]:
    for name, value in state.items():
        yield f"  {name} = {json.dumps(value, ensure_ascii=False)}"


def _change_lines(found: Any) -> Iterator[str]:
    if found.problem:
        yield f"  {found.problem}"
    for change in found.changes:
        before, after = (json.dumps(v, ensure_ascii=False) for v in (change.before, change.after))
        yield f"  {change.name}: {before} -> {after}"


def _trace_lines(found: Trace) -> Iterator[str]:
    depths: dict[UUID, int] = {}
    for node in found.nodes:
        depth = depths[node.id] = depths.get(node.cause, -1) + 1 if node.cause else 0
        yield f"{_moment(node.at):19} {'  ' * min(depth, 20)}{_node_text(node)}"
    if found.is_cut:
        yield f"There is more: only its first {found.most} events were read."
    if found.unindexed:
        yield "The index lags behind the log: the newest events were not all looked at."


def _node_text(node: TraceNode) -> str:
    if node.kind == UNKNOWN:
        where = f"in service {node.outside}" if node.outside else "not known here any more"
        return f"{node.id} ({where})"
    words = [f"{node.kind} {node.type}", *([node.text] if node.text else [])]
    if node.stream:
        words.append(f"{node.stream} version {node.version}")
    words += [word for word in (node.status, node.service, node.error) if word]
    if node.seconds is not None:
        words.append(f"after {duration(node.seconds)}")
    return ", ".join(words)


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _write(path: str, drawn: str) -> None:
    try:
        Path(path).write_text(drawn, encoding="utf-8")
    except OSError as exc:
        raise CommandError(f"{path} cannot be written: {exc.strerror}.") from exc
