"""`verify`: is history whole, and does the code still understand it?"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Parsers, Verb, event_counter
from whizbang.operations.findings import Finding, Report
from whizbang.operations.verify_history import verify_history
from whizbang.operations.verify_integrity import verify_integrity


class VerifyVerb(Verb):
    name = "verify"
    help = "Check the log; exit code 1 if something is wrong."

    def add_to(self, parsers: Parsers) -> None:
        whats = parsers.below(parsers.add_parser(self.name, help=self.help), dest="what")
        history = whats.add_parser("history", help="Read and fold all events with today's code.")
        history.add_argument("--sample", type=int, metavar="N", help="N streams instead of all.")
        history.add_argument("--seed", type=int, help="Choose the same sample again.")
        history.add_argument("--types", nargs="+", help="Only decode events of these types.")
        integrity = whats.add_parser("integrity", help="Check versions, positions and payloads.")
        for parser in (history, integrity):
            self.add_arguments(parser)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--store", default="default", help="Alias in WHIZBANG['STORES'].")

    def run(self, command: BaseCommand, options: Options) -> None:
        known: dict[str, Any] = {"store": options["store"], "progress": event_counter()}
        if options["what"] == "history":
            known |= {name: options[name] for name in ("sample", "seed", "types")}
            report = verify_history(**known)
        else:
            report = verify_integrity(**known)
        if options["json"]:
            command.stdout.write(json.dumps(asdict(report)))
        else:
            _print_report(command, report)
        if report.problems:
            raise CommandError(f"{report.problems} problems in {report.events} events.")


def _print_report(command: BaseCommand, report: Report) -> None:
    for finding in report.findings:
        command.stdout.write(command.style.ERROR(_describe(finding)))
    looked = f"{report.events} events in {report.streams} streams"
    looked += f", {report.aggregates} folded" if report.aggregates else ""
    looked += "" if report.seed is None else f", a sample with --seed {report.seed}"
    command.stdout.write(f"Looked at {looked}: {report.problems or 'no'} problems.")


def _describe(finding: Finding) -> str:
    what = finding.kind if finding.type is None else f"{finding.type} schema {finding.schema}"
    place = "" if finding.stream is None else f" {finding.stream}"
    if finding.version is not None:
        place += f" version {finding.version}, position {finding.position}"
    first = f" (first:{place})" if place else ""
    kind = "" if finding.type is None else f" {finding.kind}"
    return f"{finding.count} ×{kind} {what}{first}: {finding.error}"
