"""Instances of sagas: a failed step again or left out, a timeout now, the end, and today's code over it all."""

from __future__ import annotations

from typing import Any

import msgspec
from django.utils.translation import gettext_lazy as _

from whizbang.models import SagaInstance
from whizbang.operations.actions.action import Action, By, Done, Fact
from whizbang.operations.sagas.decisions import (
    Decided,
    cancel_instance,
    fire_timeout_now,
    plan_cancel,
    plan_fire,
    plan_retry,
    plan_skip,
    retry_step,
    skip_step,
)
from whizbang.operations.sagas.instance import NOT_STARTED
from whizbang.operations.sagas.locked import SeenInstance, seen
from whizbang.operations.sagas.replay import replay


class SagaAction(Action, frozen=True, kw_only=True):
    """Base of what is done to one instance."""

    saga: str
    key: str

    def target(self) -> str:
        return saga_target(self.saga, self.key)

    def about(self) -> tuple[type[Any], Any]:
        return SagaInstance, f"{self.saga}-{self.key}"


class Decision(SagaAction, frozen=True, kw_only=True):
    """Base of those that change it."""

    def state(self) -> dict[str, str]:
        """Each step that it takes, and each failure, is news to whoever decides."""
        instance = seen(self.saga, self.key)
        standing, event = instance.standing, instance.event
        at = "" if event is None else f"{event.type} at position {event.position}"
        return {
            "status": NOT_STARTED if standing is None else str(standing.status),
            "version": "0" if standing is None else str(standing.version),
            "failed event": at,
            "failed timeouts": ", ".join(sorted(instance.timeouts)),
        }

    def check(self) -> None:
        self.plan(seen(self.saga, self.key))

    def facts(self) -> list[Fact]:
        return _facts(self.plan(seen(self.saga, self.key)))

    def run(self, by: By) -> Done:
        return _done(self.decide(by))

    def plan(self, instance: SeenInstance) -> Decided:
        """What would be done. Raises WhizbangError where that cannot be."""
        raise NotImplementedError

    def decide(self, by: By, *, is_dry_run: bool = False) -> Decided:
        """Do it. A dry run changes nothing."""
        raise NotImplementedError


class RetrySaga(Decision, frozen=True, kw_only=True):
    name = "retry-saga"
    label = _("Retry")
    permission = "whizbang.retry_sagainstance"
    timeout: str = ""  # this one alone

    def plan(self, instance: SeenInstance) -> Decided:
        return plan_retry(instance, self.timeout or None)

    def decide(self, by: By, *, is_dry_run: bool = False) -> Decided:
        return retry_step(self.saga, self.key, timeout=self.timeout or None, is_dry_run=is_dry_run)


class SkipSaga(Decision, frozen=True, kw_only=True):
    name = "skip-saga"
    label = _("Skip")
    permission = "whizbang.skip_sagainstance"
    timeout: str = ""  # this one, where several things have failed

    def plan(self, instance: SeenInstance) -> Decided:
        return plan_skip(instance, self.timeout or None)

    def decide(self, by: By, *, is_dry_run: bool = False) -> Decided:
        return skip_step(
            self.saga,
            self.key,
            timeout=self.timeout or None,
            reason=by.reason,
            operator=by.operator,
            is_dry_run=is_dry_run,
        )


class CancelSaga(Decision, frozen=True, kw_only=True):
    name = "cancel-saga"
    label = _("Cancel the saga")
    permission = "whizbang.cancel_sagainstance"
    is_compensated: bool = True

    def plan(self, instance: SeenInstance) -> Decided:
        return plan_cancel(instance, is_compensated=self.is_compensated)

    def decide(self, by: By, *, is_dry_run: bool = False) -> Decided:
        return cancel_instance(
            self.saga,
            self.key,
            reason=by.reason,
            operator=by.operator,
            is_compensated=self.is_compensated,
            is_dry_run=is_dry_run,
        )


class FireTimeoutNow(Decision, frozen=True, kw_only=True):
    name = "fire-timeout-now"
    label = _("Fire now")
    permission = "whizbang.retry_sagainstance"
    timeout: str

    def plan(self, instance: SeenInstance) -> Decided:
        return plan_fire(instance, self.timeout)

    def decide(self, by: By, *, is_dry_run: bool = False) -> Decided:
        return fire_timeout_now(
            self.saga,
            self.key,
            self.timeout,
            reason=by.reason,
            operator=by.operator,
            is_dry_run=is_dry_run,
        )


class ReplaySaga(SagaAction, frozen=True, kw_only=True):
    """Runs the saga's code: whoever may have a step tried again may ask for it."""

    name = "replay-saga"
    label = _("Replay check")
    permission = "whizbang.retry_sagainstance"
    is_long = True
    is_harmless = True
    finds_values = True
    is_keeping_going: bool = False

    def check(self) -> None:
        instance = seen(self.saga, self.key)
        if instance.standing is None:
            instance.failed("")  # which says that there is none

    def facts(self) -> list[Fact]:
        return [
            Fact(
                "what happens",
                "A worker runs today's code over what the instance has heard, in transactions that are rolled back, and "
                "says which steps would come out differently. Nothing is sent by it; mails and HTTP calls of the "
                "saga's own code are not undone.",
            )
        ]

    def run(self, by: By) -> Done:
        result = replay(self.saga, self.key, is_keeping_going=self.is_keeping_going)
        text = f"{result.steps} steps come out as they did."
        if not result.is_same:
            first = result.found[0].version
            text = (
                f"{result.differing} of {result.steps} steps differ, the first at version {first}."
            )
        return Done(text, msgspec.to_builtins(result))


def saga_target(saga: str, key: str) -> str:
    """What the audit trail calls an instance."""
    return f"saga {saga}-{key}"


def _facts(decided: Decided) -> list[Fact]:
    facts: list[Fact] = []
    if decided.event:
        facts.append(Fact("event", f"{decided.event} at position {decided.position}"))
    if decided.timeouts:
        facts.append(Fact("timeouts", ", ".join(decided.timeouts)))
    if decided.action == "cancel":
        facts.append(Fact("commands that are sent", ", ".join(decided.commands) or "none"))
    return [*facts, Fact("what happens", _CONSEQUENCES[decided.action])]


_CONSEQUENCES = {
    "retry": "A worker takes the step again, and then what waits behind it. If it fails again, it is set aside again.",
    "skip": "It is left out for good, and what waits behind it goes on.",
    "cancel": "The instance ends: its timeouts go, and what it would hear from now on is ignored. What it has sent "
    "before stays sent.",
    "fire": "The next worker fires it, as if it had come due.",
}


def _done(decided: Decided) -> Done:
    words = [*decided.sentences()]
    if decided.position is not None:
        words.append(f"Its position in the log is {decided.position}.")
    return Done(" ".join(words), msgspec.to_builtins(decided))
