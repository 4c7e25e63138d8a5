"""`requests`, `approve`, `refuse` and `withdraw`: what waits for a second person (FOUR_EYES)."""

from __future__ import annotations

import json
from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from whizbang.management.verbs.acting import add_reason, operator_by
from whizbang.management.verbs.base import Options, Verb
from whizbang.models import ActionRequest
from whizbang.operations.actions import approve, refuse, withdraw
from whizbang.operations.actions.requests import latest_requests

_MOST_LISTED = 50


class RequestsVerb(Verb):
    name = "requests"
    help = "List what operators asked for and a second person or a worker has to do."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="Those that have ended too.")
        parser.add_argument("--json", action="store_true")

    def run(self, command: BaseCommand, options: Options) -> None:
        for found in latest_requests(are_ended_too=options["all"], limit=_MOST_LISTED):
            command.stdout.write(_as_json(found) if options["json"] else _as_text(found))


class _DecideVerb(Verb):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("request", type=int)
        add_reason(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        decide = {"approve": approve, "refuse": refuse, "withdraw": withdraw}[self.name]
        command.stdout.write(_as_text(decide(options["request"], operator_by(options))))


class ApproveVerb(_DecideVerb):
    name = "approve"
    help = "Approve what somebody else asks for, and do it."


class RefuseVerb(_DecideVerb):
    name = "refuse"
    help = "Turn down what somebody asks for."


class WithdrawVerb(_DecideVerb):
    name = "withdraw"
    help = "Take back your own request."


def _as_text(found: ActionRequest) -> str:
    end = found.result or found.error
    text = f"{found.pk:6} {found.action} {found.target}: {found.get_status_display()}"
    asked = f"asked for by {found.requested_by}: {found.reason}"
    return f"{text}, {asked}" + (f" -> {end}" if end else "")


def _as_json(found: ActionRequest) -> str:
    names = (
        "id",
        "action",
        "target",
        "parameters",
        "status",
        "requested_by",
        "reason",
        "requested_at",
        "decided_by",
        "decision",
        "decided_at",
        "finished_at",
        "result",
        "document",
        "error",
    )
    return json.dumps({name: getattr(found, name) for name in names}, default=str)
