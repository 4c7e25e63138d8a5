"""`saga`: what follows it says what is done."""

from __future__ import annotations

from django.core.management.base import BaseCommand

from whizbang.management.verbs.base import Options, Parsers, Verb
from whizbang.management.verbs.sagas import deciding, drawing, looking, replaying

_ADD = (
    looking.add_list,
    looking.add_show,
    replaying.add_replay,
    deciding.add_retry,
    deciding.add_skip,
    deciding.add_fire,
    deciding.add_cancel,
    drawing.add_diagram,
)
_RUN = {
    "list": looking.run_list,
    "show": looking.run_show,
    "replay": replaying.run_replay,
    "retry": deciding.run_retry,
    "skip": deciding.run_skip,
    "fire": deciding.run_fire,
    "cancel": deciding.run_cancel,
    "diagram": drawing.run_diagram,
}


class SagaVerb(Verb):
    name = "saga"
    help = "List sagas, tell their stories, replay and draw them, and decide about what has failed."

    def add_to(self, parsers: Parsers) -> None:
        whats = parsers.below(parsers.add_parser(self.name, help=self.help), dest="what")
        for add in _ADD:
            add(whats)

    def run(self, command: BaseCommand, options: Options) -> None:
        _RUN[options["what"]](command, options)
