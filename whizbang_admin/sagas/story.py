"""The story of one instance, as its page tells it: a page of steps, with links and what each has changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

from django.utils.translation import gettext as translate

from whizbang.models import InboxMessage
from whizbang.operations.sagas.causes import Cause
from whizbang.operations.sagas.effects import Effect
from whizbang.operations.sagas.sent import DEAD, GONE
from whizbang.operations.sagas.story import StoryCommand, StoryStep, steps_of
from whizbang_admin.sagas.addresses import Addresses
from whizbang_admin.sagas.masking import Sight

PAGE_STEPS = 6  # each that has sent something may cost a statement of its own
_LOOK_AHEAD_EVENTS = 200
_MOST_CHARACTERS = 4_000  # of one document
_MOST_BRIEF = 60
_OF_INBOX = dict(InboxMessage.Status.choices)


@dataclass(frozen=True, slots=True)
class ShownEffect:
    effect: Effect
    url: str


@dataclass(frozen=True, slots=True)
class ShownCommand:
    """A command that was sent, what it carried, and what became of it."""

    command: StoryCommand
    data: str
    fate: str  # in words
    has_failed: bool
    url: str  # of where it is
    effects: tuple[ShownEffect, ...]


@dataclass(frozen=True, slots=True)
class ShownChange:
    """A field of the state before and after a step; empty where there was none."""

    name: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class ShownCause:
    cause: Cause
    url: str  # of the event
    stream_url: str
    data: str


@dataclass(frozen=True, slots=True)
class ShownStep:
    step: StoryStep
    title: str
    since: str  # how long after the step before
    cause: ShownCause | None
    changes: tuple[ShownChange, ...]
    commands: tuple[ShownCommand, ...]
    plans: tuple[tuple[str, str], ...]  # what would undo it: type, data
    state: str
    url: str  # of the event that it is


def show_steps(sight: Sight, key: str, *, after: int, addresses: Addresses) -> list[ShownStep]:
    """A page of steps behind a version, as far as they may be seen. Raises WhizbangError where there is no such saga."""
    # One more, of which the page's first one needs the state and the time.
    steps = steps_of(
        sight.saga, key, after=max(after - 1, 0), look_ahead=_LOOK_AHEAD_EVENTS, with_states=True
    )
    found = list(islice(steps, PAGE_STEPS + (after > 0)))
    stream = f"{sight.saga}-{key}"
    return [
        _show(step, before, addresses, stream, sight)
        for before, step in _with_the_one_before(found)
        if step.version > after
    ]


def document(value: Any) -> str:
    """Plain values as indented JSON, cut where it is very long."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    if len(text) <= _MOST_CHARACTERS:
        return text
    return text[:_MOST_CHARACTERS] + translate("\n… there is more.")


def brief(value: Any) -> str:
    """Plain values in one short line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_BRIEF else f"{text[: _MOST_BRIEF - 1]}…"


def say_duration(span: timedelta) -> str:
    """Such as 3 d 4 h, 5 min 20 s or 12 ms."""
    seconds = span.total_seconds()
    if seconds < 10:
        return f"{round(seconds * 1000):,} ms"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def _with_the_one_before(
    steps: Sequence[StoryStep],
) -> Iterator[tuple[StoryStep | None, StoryStep]]:
    return zip([None, *steps[:-1]], steps, strict=True) if steps else iter(())


def _show(
    step: StoryStep, before: StoryStep | None, addresses: Addresses, stream: str, sight: Sight
) -> ShownStep:
    return ShownStep(
        step=step,
        title=_title(step),
        since="" if before is None else say_duration(step.recorded_at - before.recorded_at),
        cause=None if step.cause is None else _cause(step.cause, addresses, sight),
        changes=tuple(_changes(step, {} if before is None else before.state or {}, sight)),
        commands=tuple(_command(command, addresses, sight) for command in step.commands),
        plans=tuple(
            (plan.type, document(sight.payload(plan.type, plan.data)))
            for plan in step.compensations
        ),
        state=document(None if step.state is None else sight.state(step.state)),
        url=addresses.event(stream, step.version),
    )


def _title(step: StoryStep) -> str:
    calls = ", ".join(f"{name}()" for name in step.methods)
    if step.cause is not None:
        return translate("%(calls)s on %(type)s") % {"calls": calls, "type": step.cause.type}
    if step.kind == "timed out":
        return translate("%(calls)s on timeout %(name)s") % {"calls": calls, "name": step.timeout}
    words = {
        "started": translate("started"),
        "timeout hastened": translate("timeout made due"),
        "timeout skipped": translate("timeout left out"),
        "completed": translate("completed"),
        "failed": translate("failed"),
        "cancelled": translate("cancelled"),
    }.get(step.kind, step.kind)
    return f"{words}: {step.timeout}" if step.timeout else words


def _cause(cause: Cause, addresses: Addresses, sight: Sight) -> ShownCause:
    is_there = cause.data is not None
    return ShownCause(
        cause=cause,
        url=addresses.event(cause.stream, cause.version) if is_there else "",
        stream_url=addresses.stream(cause.stream) if is_there else "",
        data=document(sight.payload(cause.type, cause.data)) if is_there else "",
    )


def _changes(step: StoryStep, before: dict[str, Any], sight: Sight) -> Iterator[ShownChange]:
    before = sight.state(before)
    for name, value in sight.state(step.changes or {}).items():
        was = document(before[name]) if name in before else ""
        yield ShownChange(name, was, document(value))


def _command(command: StoryCommand, addresses: Addresses, sight: Sight) -> ShownCommand:
    fate = command.fate
    url = addresses.inbox(command.message_id)
    if fate.dead_letter is not None:
        url = addresses.dead_letter(fate.dead_letter)
    elif fate.status not in _OF_INBOX:
        url = ""
    return ShownCommand(
        command=command,
        data=document(sight.payload(command.type, command.data)),
        fate=_fate(command),
        has_failed=fate.status in (DEAD, "failed"),
        url=url,
        effects=tuple(
            ShownEffect(effect, addresses.event(effect.stream, effect.version))
            for effect in command.effects
        ),
    )


def _fate(command: StoryCommand) -> str:
    fate = command.fate
    if fate.status == GONE:
        return translate("its row is gone: what was handled is kept for KEEP_HANDLED_DAYS")
    if fate.status == DEAD:
        return translate("dead letter %(pk)s") % {"pk": fate.dead_letter}
    words = {
        "unsent": translate("not yet sent"),
        "published": translate("sent to its service"),
        **_OF_INBOX,
    }
    told = str(words.get(fate.status, fate.status))
    return f"{told}, {fate.service}" if fate.service else told
