"""`overview` and `workers`: is everything well, and who works?"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

import msgspec
from django.core.management.base import BaseCommand

from whizbang.management.verbs.base import Options, Verb
from whizbang.management.verbs.status import add_watch
from whizbang.operations.overview.figures import Figures
from whizbang.operations.overview.overview import Overview, read_overview
from whizbang.operations.overview.subscription_state import SubscriptionState
from whizbang.operations.overview.verdict import counted
from whizbang.operations.overview.workers import WorkerEntry, list_leases, list_workers


class OverviewVerb(Verb):
    name = "overview"
    help = "Is everything well? What is not, and what to look at."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")
        add_watch(parser, "Repeat it, every two seconds unless given.")

    def run(self, command: BaseCommand, options: Options) -> None:
        while True:
            found = read_overview()
            if options["json"]:
                command.stdout.write(json.dumps(_as_plain(found), default=str))
            else:
                _print(command, found)
            if options["watch"] is None:
                return
            time.sleep(options["watch"])


class WorkersVerb(Verb):
    name = "workers"
    help = "List workers, and who holds which lease."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def run(self, command: BaseCommand, options: Options) -> None:
        workers, leases = list_workers(), list_leases()
        if options["json"]:
            found = {"workers": [asdict(w) for w in workers], "leases": [asdict(x) for x in leases]}
            command.stdout.write(json.dumps(found, default=str))
            return
        if not workers:
            command.stdout.write(command.style.WARNING("No worker was seen within a day."))
        for worker in workers:
            _print_worker(command, worker)
        for lease in leases:
            until = "expired" if lease.is_expired else f"until {lease.expires_at:%H:%M:%S}"
            command.stdout.write(f"lease {lease.name:50} {lease.owner} epoch {lease.epoch} {until}")


def _as_plain(found: Overview) -> dict[str, Any]:
    plain = asdict(found) | {"figures": msgspec.to_builtins(found.figures)}
    return plain | {"is_well": found.is_well}


def _print(command: BaseCommand, found: Overview) -> None:
    if found.is_well:
        command.stdout.write(command.style.SUCCESS("All is well."))
    for trouble in found.troubles:
        style = command.style.ERROR if trouble.is_urgent else command.style.WARNING
        hint = f" (manage.py whizbang {trouble.command})" if trouble.command else ""
        command.stdout.write(style(f"{trouble.text}{hint}"))
    rate = "" if found.events_per_second is None else f", {found.events_per_second:.0f} events/s"
    command.stdout.write(f"head {found.head}{rate}")
    for holder in found.held_back_by:
        command.stdout.write(command.style.WARNING(f"    held back by {holder}"))
    for state in found.subscriptions:
        command.stdout.write(f"  {state.name:50} {state.status:8} {_lag_of(state)}")
    _print_figures(command, found.figures)
    working = sum(not worker.is_gone for worker in found.workers)
    command.stdout.write(f"workers {working}")
    command.stdout.write(f"requests that wait for approval {found.requests_waiting}")
    command.stdout.write(f"measured {found.measured_seconds:.0f} s ago")


def _lag_of(state: SubscriptionState) -> str:
    if state.lag_events is None:
        return "no row yet"
    text = f"lag {state.lag_events}"
    text += f" ({state.lag_seconds:.1f} s)" if state.lag_seconds else ""
    if state.lag_events and state.seconds_to_catch_up is not None:
        text += f", caught up in {state.seconds_to_catch_up:.0f} s"
    return text + (f" parked {state.parked}" if state.parked else "")


def _print_figures(command: BaseCommand, figures: Figures) -> None:
    inbox = ", ".join(f"{counted(n, figures)} {status}" for status, n in figures.inbox.items() if n)
    age = figures.outbox_oldest_seconds
    oldest = "" if age is None else f", the oldest for {age:.0f} s"
    command.stdout.write(f"inbox {inbox or 'empty'}")
    command.stdout.write(f"outbox {counted(figures.outbox, figures)} unsent{oldest}")
    command.stdout.write(f"dead letters {counted(figures.dead_letters, figures)}")
    for group in figures.letter_groups:
        command.stdout.write(f"    {group.letters} {group.type}: {group.reason}")
    command.stdout.write(f"parked {counted(figures.parked, figures)}")
    timeouts = f"{figures.timeouts_overdue} overdue, {figures.timeouts_failed} failed"
    command.stdout.write(f"sagas {counted(figures.sagas_open, figures)} open, timeouts {timeouts}")


def _print_worker(command: BaseCommand, worker: WorkerEntry) -> None:
    state = "gone or frozen" if worker.is_gone else worker.state
    line = (
        f"{worker.name:50} {state}, seen {worker.seen_seconds:.0f} s ago, on {worker.host} "
        f"pid {worker.process_id} since {worker.started_at:%Y-%m-%d %H:%M:%S}: {' '.join(worker.parts)}"
    )
    is_well = not worker.is_gone and worker.state in ("ok", "starting")
    command.stdout.write(line if is_well else command.style.WARNING(line))
