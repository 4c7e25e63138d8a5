"""`audit`: who did what."""

from __future__ import annotations

import json
from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from whizbang.management.verbs.base import Options, Verb
from whizbang.management.verbs.scope import instant
from whizbang.models import OperatorAction
from whizbang.operations.audit import find_actions

_FIELDS = "id at operator action target message_id reason parameters result".split()


class AuditVerb(Verb):
    name = "audit"
    help = "Tell who did what, the newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=instant, metavar="TIME", help="Done then or later.")
        parser.add_argument("--before", type=instant, metavar="TIME", help="Done before.")
        parser.add_argument("--target", default="", help='Such as "dead letter 12".')
        parser.add_argument("--operator", default="", metavar="NAME")
        parser.add_argument("--action", default="", metavar="NAME")
        parser.add_argument("--limit", type=int, default=50, metavar="N", help="At most; 50.")
        parser.add_argument("--json", action="store_true")

    def run(self, command: BaseCommand, options: Options) -> None:
        names = ("since", "before", "target", "operator", "action", "limit")
        for record in find_actions(**{name: options[name] for name in names}):
            command.stdout.write(_as_json(record) if options["json"] else _as_text(record))


def _as_json(record: OperatorAction) -> str:
    return json.dumps({name: getattr(record, name) for name in _FIELDS}, default=str)


def _as_text(record: OperatorAction) -> str:
    told = (
        f"{record.at:%Y-%m-%d %H:%M:%S} {record.operator or '-'}: {record.action} {record.target}"
    )
    why = f", because: {record.reason}" if record.reason else ""
    return told + why + (f" -> {record.result}" if record.result else "")
