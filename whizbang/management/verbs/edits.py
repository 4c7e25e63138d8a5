"""`edit`: another payload for the event that parked a stream."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.acting import act_and_say, add_dry_run, add_reason, operator_by
from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.actions.editing import perform_edit
from whizbang.operations.actions.parked import DiscardEdit
from whizbang.operations.edits import check_edit, editable_payload


class EditVerb(Verb):
    name = "edit"
    help = "Give a subscription an edited copy of the event that parked a stream."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")
        parser.add_argument("stream")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--show", action="store_true", help="Print the present payload.")
        what.add_argument("--file", help="JSON with the whole payload; - reads it from stdin.")
        what.add_argument(
            "--discard", type=int, metavar="VERSION", help="Read the original again from now on."
        )
        add_reason(parser)
        add_dry_run(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        subscription, stream = options["subscription"], options["stream"]
        if options["show"]:
            _show(command, subscription, stream)
        elif options["discard"] is not None:
            action = DiscardEdit(
                subscription=subscription, stream=stream, version=options["discard"]
            )
            act_and_say(command, options, action)
        else:
            _edit(command, subscription, stream, options)


def _show(command: BaseCommand, subscription: str, stream: str) -> None:
    found = editable_payload(subscription, stream=stream)
    if found.problem:
        command.stderr.write(f"As it was stored, since it cannot be read: {found.problem}")
    command.stdout.write(json.dumps(found.payload, indent=2, ensure_ascii=False))


def _edit(command: BaseCommand, subscription: str, stream: str, options: Options) -> None:
    payload = payload_from(options["file"])
    if options["dry_run"]:
        check_edit(subscription, stream=stream, payload=payload)
        command.stdout.write(f"The payload fits {stream} in {subscription}; nothing is done.")
        return
    if not options["reason"].strip():
        raise CommandError("Give a reason: somebody will ask why the event reads otherwise here.")
    edit = perform_edit(subscription, stream, payload, operator_by(options))
    command.stdout.write(f"{edit} is edited; a worker tries the stream again.")


def payload_from(file: str) -> Any:
    """JSON from a file, from stdin for "-". Raises CommandError."""
    try:
        return json.loads(sys.stdin.read() if file == "-" else Path(file).read_text())
    except OSError as exc:
        raise CommandError(f"Cannot read {file}: {exc.strerror}.") from exc
    except json.JSONDecodeError as exc:
        raise CommandError(f"{file} is not JSON: {exc}.") from exc
