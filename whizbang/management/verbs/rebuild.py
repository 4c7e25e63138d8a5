"""`rebuild`: fold a projection's history anew; `rebuilds`: how far the runs have come."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from whizbang.management.verbs.acting import act, add_dry_run, add_reason
from whizbang.management.verbs.base import Options, Verb
from whizbang.models import Rebuild
from whizbang.operations.actions.rebuilds import (
    CancelRebuild,
    DropOldRows,
    PublishRebuild,
    RebuildAction,
    RequestRebuild,
    ResumeRebuild,
    UndoRebuild,
)
from whizbang.operations.rebuild import latest_rebuilds, progress_of, rebuild_here
from whizbang.store.event_store import event_store

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
        add_reason(parser)
        add_dry_run(parser)
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
        name, what = options["projection"], options["what"]
        if what is not None:
            _do(command, options, _OTHERS[what](subscription=name))
            return
        action = RequestRebuild(
            subscription=name,
            method=options["method"],
            shares=options["shares"],
            hold=options["hold"],
        )
        _do(command, options, action)


class SwapVerb(Verb):
    name = "swap"
    help = "Publish the rebuild that is held."

    def add_arguments(self, parser: ArgumentParser) -> None:
        _add_arguments(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        _do(command, options, PublishRebuild(subscription=options["projection"]))


class UndoVerb(Verb):
    name = "undo"
    help = "Put back the rows that the last rebuild replaced by swap, caught up."

    def add_arguments(self, parser: ArgumentParser) -> None:
        _add_arguments(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        _do(command, options, UndoRebuild(subscription=options["projection"]))


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


_OTHERS: dict[str, type[RebuildAction]] = {
    "publish": PublishRebuild,
    "cancel": CancelRebuild,
    "resume": ResumeRebuild,
    "undo": UndoRebuild,
    "drop_old": DropOldRows,
}


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("projection")
    parser.add_argument("--now", action="store_true", help="Here, not in a worker.")
    add_reason(parser)
    add_dry_run(parser)


def _do(command: BaseCommand, options: Options, action: RebuildAction) -> None:
    """Ask for it, say so, and do it here if that is wanted."""
    performed = act(command, options, action)
    if performed is None or performed.done is None:
        return
    found = performed.done.document or {}
    is_here = options["now"] and "rebuild" in found and not isinstance(action, CancelRebuild)
    if not (is_here and found.get("is_new")):
        command.stdout.write(performed.text)
    if is_here:
        run = Rebuild.objects.using(event_store().using).get(pk=found["rebuild"])
        _do_here(command, run)


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


def ask_for_rebuild(command: BaseCommand, projection: str, options: Options) -> None:
    """Request a rebuild, do it here if that is wanted, and say so."""
    _do(command, {**options, "dry_run": False}, RequestRebuild(subscription=projection))
