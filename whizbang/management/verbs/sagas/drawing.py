"""`saga diagram`."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Parsers
from whizbang.management.verbs.sagas import texts
from whizbang.operations.sagas.diagram.drawing import draw_saga
from whizbang.operations.sagas.diagram.mermaid import draw_mermaid
from whizbang.operations.sagas.diagram.picture import picture_of


def add_diagram(whats: Parsers) -> None:
    parser = whats.add_parser(
        "diagram", help="Draw a saga's messages and transitions from its code."
    )
    parser.add_argument("type", help="The saga's name, such as orders.OrderFulfillment.")
    parser.add_argument("--svg", metavar="FILE", help="Draw it there, instead of printing Mermaid.")
    parser.add_argument("--json", action="store_true", help="What would be drawn.")


def run_diagram(command: BaseCommand, options: Options) -> None:
    found = picture_of(options["type"])
    if options["svg"]:
        _write(options["svg"], draw_saga(found))
    if options["json"]:
        command.stdout.write(texts.as_json(found))
    elif not options["svg"]:
        command.stdout.write(draw_mermaid(found), ending="")
    if not found.is_whole:
        command.stderr.write(
            command.style.WARNING(
                "Some of it would have to be run to know: it is drawn as it is written."
            )
        )


def _write(path: str, drawn: str) -> None:
    try:
        Path(path).write_text(drawn, encoding="utf-8")
    except OSError as exc:
        raise CommandError(f"{path} cannot be written: {exc.strerror}.") from exc
