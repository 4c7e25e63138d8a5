"""`backfill`, `backfills` and `cancel`: events of the past for one subscription."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.acting import act, act_and_say, add_dry_run, add_reason
from whizbang.management.verbs.base import Options, Verb
from whizbang.management.verbs.rebuild import ask_for_rebuild
from whizbang.management.verbs.scope import add_scope_arguments, scope_fields, scope_of
from whizbang.models import Backfill
from whizbang.operations.actions.backfills import CancelBackfill, RequestBackfill
from whizbang.operations.actions.rebuilds import CancelRebuild
from whizbang.operations.backfill import backfills, open_backfill, plan_backfill
from whizbang.operations.backfilling import backfill_here
from whizbang.operations.rebuild import open_rebuild
from whizbang.operations.scope import Scope
from whizbang.operations.status import first_line
from whizbang.operations.subscriptions import find_subscription
from whizbang.store.event_store import event_store


class BackfillVerb(Verb):
    name = "backfill"
    help = "Give events of the past to a subscription again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")
        add_scope_arguments(parser)
        parser.add_argument("--full", action="store_true", help="A rebuild instead.")
        parser.add_argument("--rate", type=float, metavar="N", help="At most N events a second.")
        parser.add_argument("--force", action="store_true", help="The events were never applied.")
        parser.add_argument("--dry-run", action="store_true", help="How many events, how long?")
        parser.add_argument("--now", action="store_true", help="Here, not in a worker.")
        add_reason(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        name, scope = options["subscription"], scope_of(options)
        if options["dry_run"]:
            _print_plan(command, name, scope, options["rate"])
        elif options["full"]:
            if not scope.everything:
                raise CommandError("A full backfill is a rebuild of everything: add --everything.")
            ask_for_rebuild(command, name, options)
        else:
            _backfill(command, name, options)


class BackfillsVerb(Verb):
    name = "backfills"
    help = "List backfills, the newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def run(self, command: BaseCommand, options: Options) -> None:
        for run in backfills():
            facts = _facts_of(run)
            if options["json"]:
                command.stdout.write(json.dumps(facts, default=str))
            else:
                line = "{id:6} {subscription} {status} {events_done} of {events} by {requested_by}"
                line += ": {reason}" if run.reason else ""
                command.stdout.write(line.format(**facts))
                if run.error:
                    command.stdout.write(command.style.WARNING(f"    {first_line(run.error)}"))


class CancelVerb(Verb):
    name = "cancel"
    help = "End the open backfill of a subscription, or else its open rebuild."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")
        add_reason(parser)
        add_dry_run(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        name = options["subscription"]
        is_rebuild = open_backfill(name) is None and open_rebuild(event_store(), name) is not None
        cls = CancelRebuild if is_rebuild else CancelBackfill
        act_and_say(command, options, cls(subscription=name))


def _backfill(command: BaseCommand, name: str, options: Options) -> None:
    action = RequestBackfill(
        subscription=name,
        rate=options["rate"],
        force=options["force"],
        **scope_fields(options),
    )
    performed = act(command, {**options, "dry_run": False}, action)
    if performed is None or performed.done is None:
        return
    found = performed.done.document
    if not (options["now"] and found["is_new"]):
        command.stdout.write(performed.text)
    if options["now"]:
        using = find_subscription(event_store(), name).using
        done = backfill_here(Backfill.objects.using(using).get(pk=found["backfill"]))
        text = f"Backfill {done.pk} of {name} is {done.status}: {done.events_done} events"
        text += f", {done.events_left_out} left out." if done.events_left_out else "."
        command.stdout.write(command.style.SUCCESS(text))


def _print_plan(command: BaseCommand, name: str, scope: Scope, rate: float | None) -> None:
    plan = plan_backfill(name, scope, events_per_second=rate)
    lasts = "for an unknown time" if plan.seconds is None else f"about {plan.seconds:.0f} s"
    command.stdout.write(
        f"{plan.events} events behind position {plan.after} up to {plan.until}, {lasts}."
    )
    for text in filter(None, (plan.refusal, plan.problem)):
        command.stdout.write(command.style.WARNING(text))


def _facts_of(run: Backfill) -> dict[str, Any]:
    names = (
        "id subscription status scope after position until events events_done events_left_out "
        "events_per_second requested_by reason error requested_at started_at finished_at"
    )
    return {name: getattr(run, name) for name in names.split()}
