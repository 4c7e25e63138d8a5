"""`rebuild`: fold a projection's history anew; `rebuilds`: how far the runs have come."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Verb
from whizbang.models import Rebuild
from whizbang.operations.rebuild import (
    cancel_rebuild,
    drop_kept,
    latest_rebuilds,
    progress_of,
    publish_rebuild,
    rebuild_here,
    request_rebuild,
    request_undo,
    resume_rebuild,
)

_BY = "command line"
_MOST_LISTED = 20
_TOLD = (
    "id",
    "projection",
    "kind",
    "status",
    "method",
    "requested_by",
    "reason",
    "requested_at",
    "started_at",
    "finished_at",
    "rows",
    "difference",
    "error",
)


class RebuildVerb(Verb):
    name = "rebuild"
    help = "Rebuild a projection from history, beside the live rows."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("projection")
        parser.add_argument("--reason", default="")
        parser.add_argument("--now", action="store_true", help="Here, not in a worker.")
        parser.add_argument("--hold", action="store_true", help="Compare, and wait for --publish.")
        parser.add_argument("--shares", type=int, default=1, help="Folded by so many workers.")
        parser.add_argument(
            "--method",
            default="",
            help="swap, merge or refill; the best that is possible unless given.",
        )
        others = parser.add_mutually_exclusive_group()
        for name, what in (
            ("publish", "Publish the rebuild that is held."),
            ("cancel", "End the open rebuild; --resume goes on with it."),
            ("resume", "Go on with the last rebuild, which was cancelled or failed."),
            ("undo", "Put back the rows that the last rebuild replaced by swap, caught up."),
            ("drop-old", "Drop the rows that --undo would put back."),
        ):
            others.add_argument(
                f"--{name}",
                dest="what",
                action="store_const",
                const=name.replace("-", "_"),
                help=what,
            )

    def run(self, command: BaseCommand, options: Options) -> None:
        what = options["what"] or "request"
        run = getattr(self, f"_{what}")(command, options)
        if run is not None and options["now"]:
            _do_here(command, run)

    def _request(self, command: BaseCommand, options: Options) -> Rebuild:
        run, is_new = request_rebuild(
            options["projection"],
            requested_by=_BY,
            reason=options["reason"],
            method=options["method"],
            shares=options["shares"],
            is_held=options["hold"],
        )
        return _announce(command, run, is_new, options)

    def _undo(self, command: BaseCommand, options: Options) -> Rebuild:
        run, is_new = request_undo(
            options["projection"], requested_by=_BY, reason=options["reason"]
        )
        return _announce(command, run, is_new, options)

    def _publish(self, command: BaseCommand, options: Options) -> Rebuild:
        return _say(command, publish_rebuild(options["projection"]), "is published by a worker")

    def _resume(self, command: BaseCommand, options: Options) -> Rebuild:
        return _say(command, resume_rebuild(options["projection"]), "is taken up by a worker")

    def _cancel(self, command: BaseCommand, options: Options) -> None:
        run = cancel_rebuild(options["projection"])
        _say(command, run, "ends within seconds" if run.is_cancel_requested else "is cancelled")

    def _drop_old(self, command: BaseCommand, options: Options) -> None:
        if not drop_kept(options["projection"]):
            raise CommandError(f"No rows of {options['projection']!r} are kept.")
        command.stdout.write(f"The kept rows of {options['projection']} are dropped.")


class RebuildsVerb(Verb):
    name = "rebuilds"
    help = "List rebuilds: progress, and what those that are held would change."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("projection", nargs="?")
        parser.add_argument("--json", action="store_true")

    def run(self, command: BaseCommand, options: Options) -> None:
        for run in latest_rebuilds(options["projection"], most=_MOST_LISTED):
            if options["json"]:
                command.stdout.write(json.dumps(_as_dict(run), default=str))
            else:
                _print(command, run)


def _announce(command: BaseCommand, run: Rebuild, is_new: bool, options: Options) -> Rebuild:
    name = f"{run.get_kind_display().capitalize()} {run.pk} of {run.projection}"
    if not is_new:
        asked = f"{run.requested_by or 'somebody'} at {run.requested_at:%Y-%m-%d %H:%M:%S}"
        command.stdout.write(f"{name} is open already ({run.status}), asked for by {asked}.")
    elif not options["now"]:
        command.stdout.write(f"{name} is requested; a worker does it.")
    return run


def _say(command: BaseCommand, run: Rebuild, what: str) -> Rebuild:
    command.stdout.write(f"Rebuild {run.pk} of {run.projection} {what}.")
    return run


def _do_here(command: BaseCommand, run: Rebuild) -> None:
    done = rebuild_here(run)
    if done.status == Rebuild.Status.DONE:
        text = f"Rebuilt {done.projection} from {done.events} events."
        command.stdout.write(command.style.SUCCESS(text))
    else:
        _print(command, done)


def _as_dict(run: Rebuild) -> dict[str, Any]:
    return {name: getattr(run, name) for name in _TOLD} | asdict(progress_of(run))


def _print(command: BaseCommand, run: Rebuild) -> None:
    found = progress_of(run)
    parts = [f"{run.pk:6} {run.projection} {run.kind} {run.status}", found.text()]
    parts += [f"by {run.method}"] if run.method else []
    command.stdout.write(" ".join(part for part in parts if part))
    if run.difference:
        _print_difference(command, run.difference)


def _print_difference(command: BaseCommand, found: dict[str, Any]) -> None:
    command.stdout.write(
        "       {new_rows} rows instead of {live_rows}: {only_new} new, {only_live} gone, "
        "{differing} different".format(**found)
    )
    for sample in found["samples"]:
        command.stdout.write(f"       {sample['key']}: {sample['live']} -> {sample['new']}")
    if found["live_position"] != found["new_position"]:
        text = "       compared at {live_position} (live) and {new_position} (new): not one moment"
        command.stdout.write(command.style.WARNING(text.format(**found)))


def ask_for_rebuild(command: BaseCommand, projection: str, *, reason: str, is_now: bool) -> None:
    """Request a rebuild, do it here if that is wanted, and say so."""
    run, is_new = request_rebuild(projection, requested_by=_BY, reason=reason)
    _announce(command, run, is_new, {"now": is_now})
    if is_now:
        _do_here(command, run)
