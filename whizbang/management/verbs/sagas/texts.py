"""Sagas as lines on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from whizbang.operations.sagas.causes import Cause
from whizbang.operations.sagas.instance import InstanceFacts
from whizbang.operations.sagas.listing import ListedInstance, UnstartedInstance
from whizbang.operations.sagas.sent import DEAD, GONE
from whizbang.operations.sagas.story import StoryCommand, StoryStep
from whizbang.operations.status import first_line


def as_json(value: Any) -> str:
    """A dataclass, or plain values, as one line."""
    return msgspec.json.encode(value).decode()


def moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def data_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def listed_line(row: ListedInstance) -> str:
    words = f"{row.saga} {row.key}: {row.status}, version {row.version}, {row.last_step or 'begun'}"
    words += f", {moment(row.stepped_at)}"
    if row.next_timeout_at is not None:
        words += f", timeout {moment(row.next_timeout_at)}{' overdue' if row.is_overdue else ''}"
    return words + (f"\n    {first_line(row.error)}" if row.error else "")


def unstarted_line(row: UnstartedInstance) -> str:
    where = f"{row.type} ({row.stream} version {row.version}, position {row.position})"
    return f"{row.id:6} {row.saga} {row.key}: not started by {where}\n    {first_line(row.error)}"


def instance_lines(facts: InstanceFacts) -> Iterator[str]:
    """Where it stands, and what keeps it there."""
    head = f"{facts.saga} {facts.key}: {facts.status}"
    yield head + (f", version {facts.version}, {facts.last_step}" if facts.version else "")
    if facts.version:
        yield f"  state {data_text(facts.state)}"
    for waiting in facts.waiting:
        words = f"  waits for {waiting.name}, due {moment(waiting.due_at)}"
        words += " (overdue)" if waiting.is_overdue else ""
        if waiting.parked_at is not None:
            words += f", failed {waiting.attempts} times: {first_line(waiting.error)}"
        yield words
    for plan in facts.compensations:
        yield f"  would undo by {plan.type} {data_text(plan.data)}"
    if facts.failing is not None:
        yield from _failing_lines(facts)
    for left in facts.left_out:
        by = f" by {left.skipped_by}" if left.skipped_by else ""
        yield f"  skipped {left.type} at position {left.position}{by}: {left.reason}"


def _failing_lines(facts: InstanceFacts) -> Iterator[str]:
    failing = facts.failing
    assert failing is not None
    where = f"{failing.stream} version {failing.version}, position {failing.position}"
    tried = ", will be tried again" if failing.is_retry_requested else ""
    yield f"  stands at {failing.type} ({where}), failed {failing.attempts} times{tried}:"
    yield f"    {first_line(failing.error)}"


def step_lines(step: StoryStep) -> Iterator[str]:
    """One step, with what caused it and what came of it."""
    yield f"{step.version:5} {moment(step.recorded_at)} {_headline(step)}"
    if step.cause is not None and step.cause.data is not None:
        yield f"        {_origin(step.cause)}"
        copy = " (an edited copy)" if step.cause.is_edited else ""
        yield f"        {data_text(step.cause.data)}{copy}"
    elif step.cause is not None:
        yield f"        from position {step.cause.position}, where the log has no event any more"
    for name, value in (step.changes or {}).items():
        yield f"      {name} = {data_text(value)}"
    for command in step.commands:
        yield from _command_lines(command)
    for timeout in step.timeouts:
        still = ", still waiting" if timeout.is_waiting else ""
        yield f"      waits for {timeout.name} until {moment(timeout.due_at)}{still}"
    for name in step.cancelled:
        yield f"      no longer waits for {name}"
    for plan in step.compensations:
        yield f"      to undo it: {plan.type} {data_text(plan.data)}"
    if step.state is not None:
        yield f"      state {data_text(step.state)}"


def _headline(step: StoryStep) -> str:
    words = step.kind
    if step.cause is not None:
        words = f"{_calls(step)} on {step.cause.type}"
    elif step.kind == "timed out":
        words = f"{_calls(step)} on timeout {step.timeout}, due {moment(step.due_at)}"
    elif step.timeout:
        words += f": {step.timeout}"
    by = f" by {step.operator}" if step.operator else ""
    return words + by + (f": {step.reason}" if step.reason else "")


def _calls(step: StoryStep) -> str:
    return ", ".join(f"{name}()" for name in step.methods)


def _origin(cause: Cause) -> str:
    words = f"from {cause.stream} version {cause.version}, position {cause.position}"
    words += f", of service {cause.service}" if cause.service else ""
    return words + (f", user {cause.user}" if cause.user else "")


def _command_lines(command: StoryCommand) -> Iterator[str]:
    due = f", due {moment(command.due_at)}" if command.due_at is not None else ""
    yield f"      sent {command.type} {data_text(command.data)}{due}"
    yield f"        {_fate(command)}"
    for effect in command.effects:
        at = f"{effect.stream} version {effect.version}, position {effect.position}"
        yield f"        led to {effect.type} ({at}) of service {effect.service}"
    if command.is_cut and not command.effects:
        yield "        no event of it was found in the part of the log that was read"


def _fate(command: StoryCommand) -> str:
    fate = command.fate
    if fate.status == GONE:
        return "its row is gone: what was handled is kept for KEEP_HANDLED_DAYS"
    if fate.status == DEAD:
        return f"dead letter {fate.dead_letter}: {first_line(fate.error)}"
    words = f"{fate.status}, {fate.service}" + (f", {moment(fate.finished_at)}".rstrip(", "))
    return words + (f": {first_line(fate.error)}" if fate.error else "")
